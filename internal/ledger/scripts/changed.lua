-- changed: tells when participants of one call were last changed.
-- KEYS 1 claims, 2 changed (blocks of ms)
-- ARGV 1 owner, then participant keys
-- returns ms, 0 if not lately; one that another owner works on is being changed now
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last, texts = 0, {}
for i = 2, #ARGV do
  local claim = redis.call('HGET', KEYS[1], ARGV[i])
  local owner, ends = string.match(claim or '', '^([^:]*):(%d+):')
  if owner and owner ~= ARGV[1] and tonumber(ends) > now then last = now end
  last = math.max(last, newest(KEYS[2], ARGV[i], texts))
end
return last
