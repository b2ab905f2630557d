-- reopen: makes rows of one hash pending again, those with one of the given outcomes. account.lua stands before it.
-- KEYS 1 meta, 2 counts, 3 times, 4 reasons, 5 failed (see settle), 6 the hash
-- ARGV 1 key life in seconds, 2 deadline ms, 3 letters of the outcomes
-- returns how many rows were reopened, or -1 if the batch does not exist
local meta = redis.call('HMGET', KEYS[1], 'rows', 'created')
if not meta[1] then return -1 end
local reopened, counts = 0, {}
local all = redis.call('HGETALL', KEYS[6])
for i = 1, #all, 2 do
  local field, record = all[i], all[i + 1]
  local letter = string.sub(record, 1, 1)
  if not pending(record) and string.find(ARGV[3], letter, 1, true) then
    redis.call('HDEL', KEYS[6], field)
    counts[letter] = (counts[letter] or 0) - 1
    reopened = reopened + 1
    if string.find(FAILED, letter, 1, true) then
      redis.call('SETBIT', KEYS[5], 64 * string.match(KEYS[6], '(%d+)$') + field, 0)
      local why = reason(record)
      if redis.call('HEXISTS', KEYS[4], why) == 0 then why = letter .. '0 and others' end
      if redis.call('HINCRBY', KEYS[4], why, -1) <= 0 then redis.call('HDEL', KEYS[4], why, '@' .. why) end
    end
  end
end
if reopened > 0 then
  for letter, n in pairs(counts) do redis.call('HINCRBY', KEYS[2], letter, n) end
  redis.call('HINCRBY', KEYS[2], 'done', -reopened)
  added(KEYS[3], meta[2], counts, ARGV[1])
  redis.call('HDEL', KEYS[1], 'finished', 'cancelled')
  redis.call('HSET', KEYS[1], 'deadline', ARGV[2])
end
for i = 1, 6 do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
return reopened
