-- Gives each thread of wrk the global thread_number: 0, 1, …
local threads = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end
