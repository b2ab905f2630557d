-- inspect: reads what the decision about some rows of a batch needs.
-- KEYS 1 meta, 2… hashes of rows
-- ARGV for each hash: number of rows, their fields
-- returns {now ms, created ms or false, deadline ms, cancelled, base, record or false …}
local t = redis.call('TIME')
local meta = redis.call('HMGET', KEYS[1], 'created', 'deadline', 'cancelled', 'base')
local out = {t[1] * 1000 + math.floor(t[2] / 1000), meta[1], meta[2], meta[3], meta[4]}
local at = 1
for b = 2, #KEYS do
  local n = tonumber(ARGV[at])
  for _, record in ipairs(redis.call('HMGET', KEYS[b], unpack(ARGV, at + 1, at + n))) do out[#out + 1] = record end
  at = at + 1 + n
end
return out
