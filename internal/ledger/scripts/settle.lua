-- settle: writes records of rows; an outcome is set once, and the counters move with it.
-- KEYS 1 meta, 2 counts, 3… the rows' bucket of each row
-- ARGV 1 key life in seconds, 2 the batch's base, then for each row: field, the record it is thought to have, the new record.
--      A record's first byte is its outcome's letter, or while the row is pending '.', and '!' once
--      an invitation was to be sent. An outcome replaces any pending record, a pending record only
--      the one expected: what somebody else has found out in between must not be lost
-- returns {-1} if the batch does not exist or was made anew, else {1 if this finished the batch, then for each row 1 or, if it
--      was not written, the record that it has}
local meta = redis.call('HMGET', KEYS[1], 'rows', 'base')
local total = meta[1]
if not total or meta[2] ~= ARGV[2] then return {-1} end
local function pending(record) return string.find('.!', string.sub(record, 1, 1), 1, true) end
local out, done = {0}, 0
for n = 1, #KEYS - 2 do
  local bucket, field, expected, record = KEYS[2 + n], ARGV[3 * n], ARGV[3 * n + 1], ARGV[3 * n + 2]
  local old = redis.call('HGET', bucket, field) or ''
  local final = not pending(record)
  if old == record then
    out[1 + n] = 1 -- it was written, and the answer to that was lost
  elseif old ~= '' and not pending(old) or not final and old ~= expected then
    out[1 + n] = old
  else
    redis.call('HSET', bucket, field, record)
    if old == '' then redis.call('EXPIRE', bucket, ARGV[1]) end
    if final then
      redis.call('HINCRBY', KEYS[2], string.sub(record, 1, 1), 1)
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
