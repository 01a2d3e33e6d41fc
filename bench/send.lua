-- Sends a file at each request. Arguments: method, path, content type, file.
-- %d-%d in the path becomes the number of the thread and of the request.
require("report")
require("threads")

local method, path, body
local sent = 0

function init(args)
  method, path = args[1], args[2]
  wrk.headers["Content-Type"] = args[3]
  local file = assert(io.open(args[4], "rb"))
  body = file:read("*a")
  file:close()
end

function request()
  sent = sent + 1
  return wrk.format(method, path:format(thread_number, sent), nil, body)
end
