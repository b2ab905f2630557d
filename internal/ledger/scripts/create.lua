-- create: makes a batch unless it is there.
-- KEYS 1 meta
-- ARGV 1 key life in seconds, 2 ms until the deadline, then field, value pairs
-- returns 1 created, 0 was there already
if redis.call('HEXISTS', KEYS[1], 'rows') == 1 then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], 'created', string.format('%.0f', now),
  'deadline', string.format('%.0f', now + ARGV[2]), unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
