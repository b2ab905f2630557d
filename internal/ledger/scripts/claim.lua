-- claim: takes the participants of some rows of one call, each row all or nothing.
-- KEYS 1 latest, 2 claims (hash: participant key to owner:expiry ms:sequence number)
-- ARGV 1 owner, 2 life of a claim in ms, then for each row: sequence number,
--      number of participant keys, the keys
-- returns for each row: 0 claimed, 1 a newer change exists, 2 someone else works on the participant.
--      A row that someone works on at this moment is 2 even if a newer change exists: it will get
--      the outcome of what is being done
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local expiry = string.format('%.0f', now + ARGV[2])
local verdicts, i = {}, 3
while i <= #ARGV do
  local seq, n = ARGV[i], tonumber(ARGV[i + 1])
  local newer, busy, under_way = false, false, false
  for k = i + 2, i + 1 + n do
    local newest = redis.call('HGET', KEYS[1], ARGV[k])
    if newest and tonumber(newest) > tonumber(seq) then newer = true end
    local claim = redis.call('HGET', KEYS[2], ARGV[k])
    if claim then
      local owner, ends, of = string.match(claim, '^([^:]*):(%d+):(%d+)$')
      if owner ~= ARGV[1] and tonumber(ends) > now then
        busy = true
        if of == seq then under_way = true end
      end
    end
  end
  local verdict = 0
  if newer and not under_way then verdict = 1 elseif busy then verdict = 2 end
  if verdict == 0 then
    for k = i + 2, i + 1 + n do
      redis.call('HSET', KEYS[2], ARGV[k], ARGV[1] .. ':' .. expiry .. ':' .. seq)
    end
  end
  verdicts[#verdicts + 1] = verdict
  i = i + 2 + n
end
-- Claims of the dead stay in the hash until their participants are claimed
-- again or the hash is left alone for a while.
redis.call('PEXPIRE', KEYS[2], ARGV[2] * 20)
return verdicts
