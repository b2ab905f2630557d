-- note: adds to what a scope's fleet did in the present span of time.
-- KEYS 1 history (hash; field 'rate', 'ceiling', and for each span, by its number modulo how many are kept:
--        "<number> <requests> <pauses begun> <rate> <1 if paused>"), 2 limit (hash, see lease)
-- ARGV 1 requests, 2 pauses begun, 3 rate, 4 ceiling, 5 µs of a span, 6 spans kept
-- returns ms of Redis' clock
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local span = math.floor(now / ARGV[5])
local field = tostring(span % ARGV[6])
local sent, pauses, paused = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local limit = redis.call('HMGET', KEYS[2], 'since', 'until')
if (tonumber(limit[1]) or 0) <= now + 1000000 and (tonumber(limit[2]) or 0) > now then paused = 1 end
local n, s, p, _, q = string.match(redis.call('HGET', KEYS[1], field) or '', '^(%d+) (%d+) (%d+) (%S+) (%d)$')
if tonumber(n) == span then
  sent, pauses, paused = sent + s, pauses + p, math.max(paused, tonumber(q))
end
redis.call('HSET', KEYS[1], 'rate', ARGV[3], 'ceiling', ARGV[4],
  field, string.format('%.0f %.0f %.0f %s %d', span, sent, pauses, ARGV[3], paused))
redis.call('EXPIRE', KEYS[1], math.ceil(2 * ARGV[5] * ARGV[6] / 1000000))
return math.floor(now / 1000)
