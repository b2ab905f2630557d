-- settle: writes records of rows; an outcome is set once, and the counters move with it.
-- KEYS 1 meta, 2 counts, 3… the rows' bucket of each row
-- ARGV 1 key life in seconds, then for each row: field, record. A record's first byte is its
--      outcome's letter, or '.' while the row is pending
-- returns {-1} if the batch does not exist, else {1 if this finished the batch, 1 or 0 for each row: written or not}
local total = redis.call('HGET', KEYS[1], 'rows')
if not total then return {-1} end
local out, done = {0}, 0
for i = 2, #ARGV, 2 do
  local bucket, n = KEYS[2 + i / 2], i / 2
  local old = redis.call('HGET', bucket, ARGV[i])
  if old and string.sub(old, 1, 1) ~= '.' then
    out[1 + n] = 0
  else
    redis.call('HSET', bucket, ARGV[i], ARGV[i + 1])
    if not old then redis.call('EXPIRE', bucket, ARGV[1]) end
    local letter = string.sub(ARGV[i + 1], 1, 1)
    if letter ~= '.' then
      redis.call('HINCRBY', KEYS[2], letter, 1)
      done = done + 1
    end
    out[1 + n] = 1
  end
end
if done > 0 then
  local all = redis.call('HINCRBY', KEYS[2], 'done', done)
  if all == done then redis.call('EXPIRE', KEYS[2], ARGV[1]) end
  if all >= tonumber(total) then
    local t = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'finished', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
    out[1] = 1
  end
end
return out
