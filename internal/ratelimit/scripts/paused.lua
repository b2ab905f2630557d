-- paused: how long a scope is paused.
-- KEYS 1 limit (hash, see lease)
-- returns µs
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local s = redis.call('HMGET', KEYS[1], 'since', 'until')
if (tonumber(s[1]) or 0) > now + 1000000 then return 0 end
return math.max(0, (tonumber(s[2]) or 0) - now)
