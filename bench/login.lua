-- Logs in the users of server.go by turns.
require("report")
require("threads")

wrk.headers["Content-Type"] = "application/json"
local body = '{"phone":"1390000%04d","password":"correct horse battery"}'
local sent = 0

function request()
  sent = sent + 1
  return wrk.format("POST", nil, nil, body:format((sent + 8 * thread_number) % 16))
end
