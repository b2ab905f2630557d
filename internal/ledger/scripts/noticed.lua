-- noticed: notes how sending a notice ended.
-- KEYS 1 the notice
-- ARGV 1 token of the sender, 2 key life in seconds, 3 ms until it may be sent again, '0': it was received
-- returns 1, or 0 if it failed and is in other hands by now: then nothing is noted
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'over', 'sent')
elseif redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
else
  local t = redis.call('TIME')
  redis.call('HINCRBY', KEYS[1], 'failures', 1)
  redis.call('HDEL', KEYS[1], 'token')
  redis.call('HSET', KEYS[1], 'next', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[3]))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
