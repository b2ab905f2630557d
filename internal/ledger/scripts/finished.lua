-- finished: enters a batch in the list of finished ones, and takes old ones off it.
-- KEYS 1 the list
-- ARGV 1 batch, 2 ms for which it stays there
-- returns 1
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
