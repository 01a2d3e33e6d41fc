-- Counts a request for KEYS[1]: one per ARGV[1] microseconds on average, at most ARGV[2] at once.
-- Returns whether it is refused (1) or allowed (0), and after how many microseconds the whole burst
-- is allowed again. The key holds the time at which that is so.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local reset = math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0)
-- Further off than a whole burst takes: the rate was raised, or the clock set back. The next one would wait for that.
if reset > interval * count then
  reset = interval * (count - 1)
end
if reset + interval > interval * count then
  return {1, reset}
end
reset = reset + interval
redis.call('SET', KEYS[1], string.format('%.0f', now + reset), 'PX', math.ceil(reset / 1000))
return {0, reset}
