-- Sends a file at each request. Arguments: method, path, content type, file.
-- %d in the path becomes the number of the request, and so do 64 zeros in the file.
require("report")
require("numbers")

local digits = 64
local method, path, body, place

function init(args)
  method, path = args[1], args[2]
  wrk.headers["Content-Type"] = args[3]
  local file = assert(io.open(args[4], "rb"))
  body = file:read("*a")
  file:close()
  place = body:find(("0"):rep(digits), 1, true)
end

function request()
  local number, sent = next_number(), body
  if place then
    sent = body:sub(1, place - 1) .. ("%064d"):format(number) .. body:sub(place + digits)
  end
  return wrk.format(method, path:format(number), nil, sent)
end
