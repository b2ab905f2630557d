-- claim: takes the participants of some rows of one call, each row all or nothing.
-- KEYS 1 latest, 2 claims (hash: participant key to owner:expiry ms:sequence number; behind a key with a "!" until when
--      what was sent under a claim that ran out may still be done, and by which row: ms:sequence number),
--      3 ringing (hash: participant key to until ms:sequence number of the invite),
--      4 changed (sorted set: participant key by ms)
-- ARGV 1 owner, 2 life of a claim in ms, 3 life of latest in seconds, 4 ms for which what was sent under a claim that
--      ran out may still be done, then for each row: sequence number, number of participant keys, the keys
-- returns for each row four numbers:
--      1 verdict: 0 claimed, 1 claimed although a newer change exists, 2 someone else works on the participant,
--        3 so and a newer change exists. A row that someone works on at this moment is 2 even if a newer
--        change exists: it will get the outcome of what is being done. Someone's claim that ran out is in the
--        way of other rows until nothing more can come of it, and not of the row it was for
--      2 until when (ms) an older row's invitation to the participant may ring, 0 if none does
--      3 1 if that invitation names the row's first key, so that a delete of that key cancels it
--      4 when (ms) the participant was last changed, 0 if not lately
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local noted = false
local expiry = string.format('%.0f', now + ARGV[2])
-- The newest of the given rows themselves: what is known of them may be lost.
local here, i = {}, 5
while i <= #ARGV do
  for k = i + 2, i + 1 + tonumber(ARGV[i + 1]) do
    here[ARGV[k]] = math.max(here[ARGV[k]] or 0, tonumber(ARGV[i]))
  end
  i = i + 2 + tonumber(ARGV[i + 1])
end
local out = {}
i = 5
while i <= #ARGV do
  local seq, n = ARGV[i], tonumber(ARGV[i + 1])
  local newer, busy, under_way = false, false, false
  local rings, named, changed, first_ring, unknown = 0, 1, 0, nil, {}
  for k = i + 2, i + 1 + n do
    local newest = redis.call('HGET', KEYS[1], ARGV[k])
    if math.max(tonumber(newest or 0), here[ARGV[k]]) > tonumber(seq) then newer = true end
    if not newest or tonumber(newest) < tonumber(seq) then unknown[#unknown + 1] = ARGV[k] end
    local claim = redis.call('HGET', KEYS[2], ARGV[k])
    if claim then
      local owner, ends, of = string.match(claim, '^([^:]*):(%d+):(%d+)$')
      if owner ~= ARGV[1] then
        if tonumber(ends) > now then
          busy = true
          if of == seq then under_way = true end
        elseif tonumber(ends) + ARGV[4] > now then
          -- Its row may go on, which takes the claim over.
          redis.call('HSET', KEYS[2], ARGV[k] .. '!', string.format('%.0f', ends + ARGV[4]) .. ':' .. of)
          redis.call('HDEL', KEYS[2], ARGV[k])
        end
      end
    end
    local late = redis.call('HGET', KEYS[2], ARGV[k] .. '!')
    if late then
      local ends, of = string.match(late, '^(%d+):(%d+)$')
      if tonumber(ends) <= now then
        redis.call('HDEL', KEYS[2], ARGV[k] .. '!')
      elseif of ~= seq then
        busy = true
      end
    end
    local note = redis.call('HGET', KEYS[3], ARGV[k])
    if note then
      local ends, of = string.match(note, '^(%d+):(%d+)$')
      if tonumber(of) < tonumber(seq) and tonumber(ends) > now then
        rings = math.max(rings, tonumber(ends))
        if k == i + 2 then first_ring = of end
        if of ~= first_ring then named = 0 end
      end
    end
    changed = math.max(changed, tonumber(redis.call('ZSCORE', KEYS[4], ARGV[k]) or 0))
  end
  local verdict = 0
  if newer and not under_way then
    if busy then verdict = 3 else verdict = 1 end
  elseif busy then
    verdict = 2
  end
  if verdict < 2 then
    -- Redis has lost that these are known: an older row must not come after this one.
    for _, key in ipairs(unknown) do
      redis.call('HSET', KEYS[1], key, seq)
      noted = true
    end
    for k = i + 2, i + 1 + n do
      redis.call('HSET', KEYS[2], ARGV[k], ARGV[1] .. ':' .. expiry .. ':' .. seq)
    end
  end
  if rings == 0 then named = 0 end
  out[#out + 1] = verdict
  out[#out + 1] = rings
  out[#out + 1] = named
  out[#out + 1] = changed
  i = i + 2 + n
end
if noted and redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
-- Claims of the dead stay in the hash until their participants are claimed
-- again or the hash is left alone for a while.
redis.call('PEXPIRE', KEYS[2], ARGV[2] * 20)
return out
