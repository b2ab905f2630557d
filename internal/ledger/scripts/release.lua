-- release: gives claims of one owner up.
-- KEYS 1 claims
-- ARGV 1 owner, then participant keys
-- returns how many were given up
local n = 0
for i = 2, #ARGV do
  local claim = redis.call('HGET', KEYS[1], ARGV[i])
  if claim and string.match(claim, '^([^:]*):') == ARGV[1] then
    n = n + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return n
