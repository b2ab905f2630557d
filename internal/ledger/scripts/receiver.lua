-- receiver: notes since when a receiver gets notices, and that it is still in use.
-- KEYS 1 the receiver
-- ARGV 1 key life in seconds, 2 since when as ms, '0': from now on, unless it is known
-- returns since when, ms
local since = redis.call('GET', KEYS[1])
if not since then
  since = ARGV[2]
  if since == '0' then
    local t = redis.call('TIME')
    since = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  end
end
redis.call('SET', KEYS[1], since, 'EX', ARGV[1])
return since
