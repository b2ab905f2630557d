-- inspect: reads what the decision about some rows of a batch needs.
-- KEYS 1 meta, 2… the rows' bucket of each row
-- ARGV the field of each row in its bucket
-- returns {now ms, created ms or false, deadline ms, cancelled, base, record or false …}
local t = redis.call('TIME')
local meta = redis.call('HMGET', KEYS[1], 'created', 'deadline', 'cancelled', 'base')
local out = {t[1] * 1000 + math.floor(t[2] / 1000), meta[1], meta[2], meta[3], meta[4]}
for i = 1, #ARGV do out[5 + i] = redis.call('HGET', KEYS[1 + i], ARGV[i]) end
return out
