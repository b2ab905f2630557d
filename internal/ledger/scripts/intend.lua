-- intend: notes that participants of one call are about to be rung, if they are still claimed.
-- KEYS 1 claims, 2 ringing
-- ARGV 1 owner, 2 ms that an invitation may ring, then for each row: sequence number,
--      number of participant keys, the keys
-- returns now in ms, or -1 if a claim is not the owner's any more
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local keys, notes, i = {}, {}, 3
while i <= #ARGV do
  local note = string.format('%.0f', now + ARGV[2]) .. ':' .. ARGV[i]
  for k = i + 2, i + 1 + ARGV[i + 1] do
    keys[#keys + 1] = ARGV[k]
    notes[#notes + 1] = ARGV[k]
    notes[#notes + 1] = note
  end
  i = i + 2 + ARGV[i + 1]
end
for _, claim in ipairs(redis.call('HMGET', KEYS[1], unpack(keys))) do
  local owner, ends = string.match(claim or '', '^([^:]*):(%d+):')
  if owner ~= ARGV[1] or tonumber(ends) <= now then return -1 end
end
redis.call('HSET', KEYS[2], unpack(notes))
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[2], ARGV[2] * 2) end
return now
