-- number: gives out sequence numbers.
-- KEYS 1 the last one given out
-- ARGV 1 how many are wanted
-- returns the number before the first of them
-- They are never behind the clock, in µs: a Redis that has lost the last ones, or
-- all of them, gives out none that an older batch may have.
local t = redis.call('TIME')
local last = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), t[1] * 1000000 + t[2])
redis.call('SET', KEYS[1], string.format('%.0f', last + ARGV[1]))
return string.format('%.0f', last)
