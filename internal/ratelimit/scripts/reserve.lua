-- reserve: gives out the next free slot of a scope, unless the scope is paused for longer than the caller waits.
-- KEYS 1 limit (hash: next, the first free slot in microseconds; pause, ms until which nobody sends)
-- ARGV 1 requests a second (0: no ceiling), 2 longest wait for a pause in ms, 3 '1' to reserve, '0' to ask for the pause only
-- returns {microseconds until the slot, or -1 if paused for longer; ms left of the pause}
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local state = redis.call('HMGET', KEYS[1], 'next', 'pause')
local pause = math.max(0, (tonumber(state[2]) or 0) - math.floor(now / 1000))
if pause > tonumber(ARGV[2]) then return {-1, pause} end
local slot = now + pause * 1000
local rate = tonumber(ARGV[1])
if rate > 0 and ARGV[3] == '1' then
  -- A slot that lies in the past was not used by anyone: it is gone, so that
  -- idle time does not add up to a burst.
  slot = math.max(slot, tonumber(state[1]) or 0)
  -- Half a percent apart from exact: callers that wake a few ms late then do not
  -- make one request too many of a second that begins with an early one.
  redis.call('HSET', KEYS[1], 'next', string.format('%.0f', slot + 1005000 / rate))
  redis.call('EXPIRE', KEYS[1], 86400)
end
return {slot - now, pause}
