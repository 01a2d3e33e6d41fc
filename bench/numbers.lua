-- Gives requests numbers, each of its own: wrk's two threads have the even and the odd ones.
local threads = 0
local sent = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

function next_number()
  sent = sent + 1
  return 2 * sent + thread_number
end
