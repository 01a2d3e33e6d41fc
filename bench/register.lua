-- Registers another phone at each request.
require("report")
require("threads")

wrk.headers["Content-Type"] = "application/json"
local body = '{"phone":"138%d%07d","password":"correct horse battery","code":"123456"}'
local sent = 0

function request()
  sent = sent + 1
  return wrk.format("POST", nil, nil, body:format(thread_number, sent))
end
