-- release: gives claims of one owner up, and notes what became of their participants.
-- KEYS 1 claims, 2 ringing, 3 changed (blocks of ms)
-- ARGV 1 owner, 2 seconds for which to remember that participants were changed,
--      then the number of participant keys to give up, and the keys,
--      the number of those whose participants may have been changed, and the keys,
--      and pairs of participant key and sequence number whose invitation rings no more
-- returns nothing of use
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner = ARGV[1] .. ':'
local i = 3
local n = tonumber(ARGV[i])
if n > 0 then
  local mine = {}
  for k, claim in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, i + 1, i + n))) do
    if claim and string.sub(claim, 1, #ARGV[1] + 1) == owner then mine[#mine + 1] = ARGV[i + k] end
  end
  if #mine > 0 then redis.call('HDEL', KEYS[1], unpack(mine)) end
end
i = i + n + 1
n = tonumber(ARGV[i])
if n > 0 then
  local entries, tail = {}, seven(now)
  for k = i + 1, i + n do entries[k - i] = entry(ARGV[k], tail) end
  note(KEYS[3], table.concat(entries), ARGV[2])
end
i = i + n + 1
if i <= #ARGV then
  local keys, quiet = {}, {}
  for k = i, #ARGV, 2 do keys[#keys + 1] = ARGV[k] end
  for k, note in ipairs(redis.call('HMGET', KEYS[2], unpack(keys))) do
    -- A newer invitation to the same participant goes on ringing.
    if note and tonumber(string.match(note, ':(%d+)$')) <= tonumber(ARGV[i + 2 * k - 1]) then quiet[#quiet + 1] = keys[k] end
  end
  if #quiet > 0 then redis.call('HDEL', KEYS[2], unpack(quiet)) end
end
return 1
