-- Posts what phones post, by turns. Arguments: a body of JSON, in which %08d becomes the number of
-- the phone; how many phones there are.
require("report")
require("numbers")

wrk.headers["Content-Type"] = "application/json"
local body, phones

function init(args)
  body, phones = args[1], tonumber(args[2])
end

function request()
  return wrk.format("POST", nil, nil, body:format(next_number() % phones))
end
