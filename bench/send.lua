-- Sends a file at each request. Arguments: method, path, content type, file.
-- %d in the path becomes the number of the request.
require("report")
require("numbers")

local method, path, body

function init(args)
  method, path = args[1], args[2]
  wrk.headers["Content-Type"] = args[3]
  local file = assert(io.open(args[4], "rb"))
  body = file:read("*a")
  file:close()
end

function request()
  return wrk.format(method, path:format(next_number()), nil, body)
end
