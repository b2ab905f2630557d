-- settle: writes records of rows; an outcome is set once, and the counters move with it. account.lua stands before it.
-- KEYS 1 meta, 2 counts, 3 times (outcomes by span and letter), 4 reasons (how many rows failed for each, and '@' and
--      it: the first of them), 5 failed (bitmap: row - 1), 6… hashes of rows
-- ARGV 1 key life in seconds, 2 the batch's base, then for each hash: number of rows, then for each of them: field,
--      the record it is thought to have, the new record.
--      A record's first byte is its outcome's letter, or while the row is pending '.', and '!' once
--      an invitation was to be sent. An outcome replaces any pending record, a pending record only
--      the one expected: what somebody else has found out in between must not be lost
-- returns {-1} if the batch does not exist or was made anew, else {1 if this finished the batch, then for each row 1 or, if it
--      was not written, the record that it has}
local meta = redis.call('HMGET', KEYS[1], 'rows', 'base', 'created')
local total = meta[1]
if not total or meta[2] ~= ARGV[2] then return {-1} end
local out, done, counts, reasons = {0}, 0, {}, {}
local at = 3
for b = 6, #KEYS do
  local n = tonumber(ARGV[at])
  local fields, has, set = {}, {}, {}
  for r = 1, n do fields[r] = ARGV[at + 3 * r - 2] end
  for r, record in ipairs(redis.call('HMGET', KEYS[b], unpack(fields))) do has[fields[r]] = record or '' end
  for r = 1, n do
    local field, expected, record = fields[r], ARGV[at + 3 * r - 1], ARGV[at + 3 * r]
    local old = has[field]
    local final = not pending(record)
    if old == record then
      out[#out + 1] = 1 -- it was written, and the answer to that was lost
    elseif old ~= '' and not pending(old) or not final and old ~= expected then
      out[#out + 1] = old
    else
      has[field] = record
      set[#set + 1] = field
      set[#set + 1] = record
      if final then
        local letter = string.sub(record, 1, 1)
        counts[letter] = (counts[letter] or 0) + 1
        done = done + 1
        if string.find(FAILED, letter, 1, true) then
          local row = 64 * string.match(KEYS[b], '(%d+)$') + field
          redis.call('SETBIT', KEYS[5], row, 1)
          local why = reason(record)
          reasons[why] = reasons[why] or {0, row + 1}
          reasons[why][1] = reasons[why][1] + 1
        end
      end
      out[#out + 1] = 1
    end
  end
  if #set > 0 then
    redis.call('HSET', KEYS[b], unpack(set))
    expire(KEYS[b], ARGV[1])
  end
  at = at + 1 + 3 * n
end
if done > 0 then
  for letter, n in pairs(counts) do redis.call('HINCRBY', KEYS[2], letter, n) end
  added(KEYS[3], meta[3], counts, ARGV[1])
  for why, found in pairs(reasons) do
    if redis.call('HLEN', KEYS[4]) >= 2 * most and redis.call('HEXISTS', KEYS[4], why) == 0 then
      why = string.sub(why, 1, 1) .. '0 and others'
    end
    redis.call('HINCRBY', KEYS[4], why, found[1])
    redis.call('HSETNX', KEYS[4], '@' .. why, found[2])
  end
  if next(reasons) then
    expire(KEYS[4], ARGV[1])
    expire(KEYS[5], ARGV[1])
  end
  local all = redis.call('HINCRBY', KEYS[2], 'done', done)
  if all == done then expire(KEYS[2], ARGV[1]) end
  if all >= tonumber(total) then
    local t = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'finished', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)))
    out[1] = 1
  end
end
return out
