-- refuse: pauses a scope because Graph refused a request. A request that was sent after the last pause ends the run.
-- KEYS 1 limit (hash, see lease)
-- ARGV 1 µs since the request was sent, 2 µs to wait, or -1 if Graph did not say, 3 longest wait to guess, 4 µs added to a wait,
--      5 µs within which a refusal comes right after a pause
-- returns {µs left of the pause, 1 if this ended the run, version, climb, busy when it was sent, busy at the run's start,
--          the run's µs, its slots, its idle µs, µs of the pause before it, µs from the request to the end of the pause}
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local s = redis.call('HMGET', KEYS[1], 'until', 'strikes', 'climb', 'busy', 'from', 'start', 'n', 'idle', 'gain', 'next', 'since')
local ends, since = tonumber(s[1]) or 0, tonumber(s[11]) or 0
if since > now + 1000000 then ends = 0 end -- see lease
local sent, wait = now - ARGV[1], tonumber(ARGV[2])
local function whole(x) return string.format('%.0f', x) end
if sent < ends then
  -- It was under way when the pause began, and is part of the same. Graph may
  -- count a wait from its last refusal.
  if wait >= 0 then ends = math.max(ends, now + wait + ARGV[4]) end
  redis.call('HSET', KEYS[1], 'until', whole(ends), 'gain', whole(ends - since))
  return {math.floor(math.max(0, ends - now)), 0}
end
local strikes = 0
if ends > 0 and sent - ends < tonumber(ARGV[5]) then strikes = math.min((tonumber(s[2]) or 0) + 1, 30) end
if wait < 0 then
  wait = math.min(1000000 * 2 ^ strikes, tonumber(ARGV[3]))
elseif strikes > 0 then
  wait = math.max(wait, math.min(250000 * 2 ^ strikes, 4000000)) -- what Graph says is too short
end
ends = now + wait + ARGV[4]
local busy, from = tonumber(s[4]) or 0, tonumber(s[5]) or 0
local start = math.min(tonumber(s[6]) or sent, sent)
-- Slots are given out ahead: those after the request are not part of the run.
local next = math.max(tonumber(s[10]) or 0, sent)
local at = math.max(from, busy - (busy - from) * (next - sent) / math.max(next - start, 1))
local version = whole(ends)
redis.call('HSET', KEYS[1], 'since', whole(now), 'until', version, 'strikes', strikes, 'version', version, 'next', version,
  'busy', 0, 'debt', 0, 'from', 0, 'start', version, 'n', 0, 'idle', 0, 'gain', whole(wait))
redis.call('EXPIRE', KEYS[1], 604800)
return {math.floor(ends - now), 1, version, s[3] or '', tostring(at), tostring(from),
  math.floor(sent - start), math.floor(tonumber(s[7]) or 0), math.floor(tonumber(s[8]) or 0), math.floor(tonumber(s[9]) or 0), math.floor(ends - sent)}
