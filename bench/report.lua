-- Ends every run with a line of JSON, which wrk.go reads.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"failed":%d,"seconds":%.6f,"p99":%.3f}\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
    summary.duration / 1e6, latency:percentile(99) / 1e3))
end
