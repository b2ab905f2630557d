-- release: gives claims of one owner up, and notes what became of their participants.
-- KEYS 1 claims, 2 ringing, 3 changed
-- ARGV 1 owner, 2 ms for which to remember that participants were changed,
--      then the number of participant keys to give up, and the keys,
--      the number of those whose participants may have been changed, and the keys,
--      and pairs of participant key and sequence number whose invitation rings no more
-- returns nothing of use
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local i = 3
for k = i + 1, i + tonumber(ARGV[i]) do
  local claim = redis.call('HGET', KEYS[1], ARGV[k])
  if claim and string.match(claim, '^([^:]*):') == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[k]) end
end
i = i + tonumber(ARGV[i]) + 1
local changed = tonumber(ARGV[i])
for k = i + 1, i + changed do redis.call('ZADD', KEYS[3], now, ARGV[k]) end
if changed > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
for k = i + changed + 1, #ARGV, 2 do
  local note = redis.call('HGET', KEYS[2], ARGV[k])
  -- A newer invitation to the same participant goes on ringing.
  if note and tonumber(string.match(note, ':(%d+)$')) <= tonumber(ARGV[k + 1]) then
    redis.call('HDEL', KEYS[2], ARGV[k])
  end
end
return 1
