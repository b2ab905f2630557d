-- lease: gives out the next free slots of a scope, up to a horizon.
-- KEYS 1 limit (hash)
--   next     first free slot, µs of Redis' clock; step: from there to the one before
--   since, until  the last pause, µs; strikes: refusals in a row that came right after a pause
--   climb    how the rate goes on, as the callers wrote it; version changes whenever it or the run does
--   busy     seconds for which the climb was used to the full, in a hurry more
--   debt     time not used, which is worked off before the climb goes on, µs
--   start, from, n, idle, gain   the run, which is what was sent since the last pause or second without work:
--            when it began (µs), busy then, its slots, its unused time (µs), the pause before it (µs)
-- ARGV 1 version and 2 busy known to the caller, 3 µs from slot to slot, 4 slots wanted, 5 horizon in µs, 6 hurry
-- returns {slots given; µs until the first, or until it is worth asking again; µs left of the pause; version; busy;
--          climb, if the caller does not know how things are}
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local s = redis.call('HMGET', KEYS[1], 'next', 'step', 'since', 'until', 'version', 'busy', 'climb', 'debt', 'start', 'from', 'n', 'idle')
local ends, version, busy = tonumber(s[4]) or 0, s[5] or '0', tonumber(s[6]) or 0
-- The clock went back, or another's is behind: that pause is over.
if (tonumber(s[3]) or 0) > now + 1000000 then ends = 0 end
local left = math.max(0, ends - now)
local step, horizon, hurry = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
if version ~= ARGV[1] or math.abs(busy - ARGV[2]) > hurry then
  return {0, 0, left, version, tostring(busy), s[7] or ''}
end
if left > horizon then return {0, left - horizon, left, version, tostring(busy), ''} end

local next = tonumber(s[1]) or 0
if next > math.max(now, ends) + horizon + math.max(step, tonumber(s[2]) or 0) + 1000 then next = now end
local free = math.max(next, ends, now)
if free > now + horizon then return {0, math.ceil(free - now - horizon), left, version, tostring(busy), ''} end

-- Slots that lie in the past were used by nobody: they are gone, so that idle
-- time does not add up to a burst.
local gap = math.max(0, now - math.max(next, ends))
local debt, start, from = tonumber(s[8]) or 0, tonumber(s[9]), tonumber(s[10]) or 0
local n, idle = tonumber(s[11]) or 0, tonumber(s[12]) or 0
if not start or gap >= 1000000 then
  redis.call('HSET', KEYS[1], 'gain', string.format('%.0f', math.min(gap, 3600000000)))
  if start then debt = 1000000 else debt = 0 end
  start, from, n, idle = free, busy, 0, 0
elseif n == 0 then
  start = free
else
  idle, debt = idle + gap, math.min(debt + gap, 1000000)
  -- Of a run with little work only the last seconds count.
  if now - start > 5000000 and idle > 0.1 * (now - start) then
    start, from, n, idle = now - (now - start) / 2, busy - (busy - from) / 2, n / 2, idle / 2
  end
end
local count = math.min(tonumber(ARGV[4]), math.floor((now + horizon - free) / step) + 1)
-- The rate grows only with time in which all of it was asked for, and no request
-- counts for more than a second of that.
local used = count * math.min(step, 1000000)
local paid = math.min(debt, used)
busy = busy + (used - paid) * hurry / 1000000
local function whole(x) return string.format('%.0f', x) end
redis.call('HSET', KEYS[1], 'next', whole(free + count * step), 'step', whole(step), 'busy', string.format('%.6f', busy),
  'debt', whole(debt - paid), 'start', whole(start), 'from', string.format('%.6f', from), 'n', whole(n + count), 'idle', whole(idle))
redis.call('EXPIRE', KEYS[1], 604800)
return {count, math.floor(free - now), left, version, tostring(busy), ''}
