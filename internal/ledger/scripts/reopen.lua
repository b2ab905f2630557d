-- reopen: makes rows of one hash pending again, those with one of the given outcomes.
-- KEYS 1 meta, 2 counts, 3 the hash
-- ARGV 1 key life in seconds, 2 deadline ms, 3 letters of the outcomes
-- returns how many rows were reopened, or -1 if the batch does not exist
if redis.call('HEXISTS', KEYS[1], 'rows') == 0 then return -1 end
local reopened = 0
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
  local letter = string.sub(all[i + 1], 1, 1)
  if letter ~= '.' and string.find(ARGV[3], letter, 1, true) then
    redis.call('HDEL', KEYS[3], all[i])
    redis.call('HINCRBY', KEYS[2], letter, -1)
    redis.call('HINCRBY', KEYS[2], 'done', -1)
    reopened = reopened + 1
  end
end
if reopened > 0 then
  redis.call('HDEL', KEYS[1], 'finished', 'cancelled')
  redis.call('HSET', KEYS[1], 'deadline', ARGV[2])
end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
return reopened
