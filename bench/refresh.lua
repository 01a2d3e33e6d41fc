-- Refreshes sessions by turns, each with the token that its last refresh gave. Arguments: the first
-- token of each. There are more of them than connections, so that one is always free.
require("report")
require("numbers")

wrk.headers["Content-Type"] = "application/json"
local tokens = {}

function init(args)
  for i, token in ipairs(args) do
    if i % 2 == thread_number then
      table.insert(tokens, token)
    end
  end
end

function request()
  return wrk.format("POST", nil, nil, '{"refreshToken":"' .. table.remove(tokens, 1) .. '"}')
end

function response(_, _, body)
  table.insert(tokens, body:match('"refreshToken":"([^"]+)"'))
end
