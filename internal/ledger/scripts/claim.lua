-- claim: takes the participants of some rows of one call, each row all or nothing.
-- KEYS 1 newest (blocks of sequence numbers), 2 claims (hash: participant key to owner:expiry ms:sequence number; behind a key with a "!" until when
--      what was sent under a claim that ran out may still be done, and by which row: ms:sequence number),
--      3 ringing (hash: participant key to until ms:sequence number of the invite),
--      4 changed (blocks of ms)
-- ARGV 1 owner, 2 life of a claim in ms, 3 life of newest in seconds, 4 ms for which what was sent under a claim that
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
local function whole(x) return string.format('%.0f', x) end
local mine = ARGV[1] .. ':' .. whole(now + ARGV[2]) .. ':'

-- All that is known of all participants, in as few calls as can be: they are what a script costs.
local keys, texts, known = {}, {}, {}
local i = 5
while i <= #ARGV do
  local seq = tonumber(ARGV[i])
  for k = i + 2, i + 1 + ARGV[i + 1] do
    local key = ARGV[k]
    if not known[key] then
      keys[#keys + 1] = key
      -- All fields at once: a table that grows is made anew each time.
      known[key] = {noted = newest(KEYS[1], key, texts), newest = 0, changed = newest(KEYS[4], key, texts), claim = false,
        late = false, ring = false, was_claim = false, was_late = false}
    end
    -- The newest of the given rows themselves, too: what was noted may be lost.
    known[key].newest = math.max(known[key].newest, known[key].noted, seq)
  end
  i = i + 2 + ARGV[i + 1]
end
local fields = {}
for k, key in ipairs(keys) do fields[k], fields[#keys + k] = key, key .. '!' end
local claims = redis.call('HMGET', KEYS[2], unpack(fields))
local rings = redis.call('HMGET', KEYS[3], unpack(keys))
for k, key in ipairs(keys) do
  local p = known[key]
  p.claim, p.late, p.ring = claims[k], claims[#keys + k], rings[k]
end

-- What changes is kept in known until the end, for the rows that follow.
local out, entries, set, del, row = {}, {}, {}, {}, 1
i = 5
while i <= #ARGV do
  local seq, n = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local newer, busy, under_way = false, false, false
  local ring, named, changed, first_ring = 0, 1, 0, nil
  for k = i + 2, i + 1 + n do
    local p = known[ARGV[k]]
    if p.newest > seq then newer = true end
    if p.claim then
      local owner, ends, of = string.match(p.claim, '^([^:]*):(%d+):(%d+)$')
      if owner ~= ARGV[1] then
        if tonumber(ends) > now then
          busy = true
          if tonumber(of) == seq then under_way = true end
        elseif tonumber(ends) + ARGV[4] > now then
          -- Its row may go on, which takes the claim over.
          p.late, p.claim, p.was_late, p.was_claim = whole(ends + ARGV[4]) .. ':' .. of, false, true, true
        end
      end
    end
    if p.late then
      local ends, of = string.match(p.late, '^(%d+):(%d+)$')
      if tonumber(ends) <= now then
        p.late, p.was_late = false, true
      elseif tonumber(of) ~= seq then
        busy = true
      end
    end
    if p.ring then
      local ends, of = string.match(p.ring, '^(%d+):(%d+)$')
      if tonumber(of) < seq and tonumber(ends) > now then
        ring = math.max(ring, tonumber(ends))
        if k == i + 2 then first_ring = of end
        if of ~= first_ring then named = 0 end
      end
    end
    changed = math.max(changed, p.changed)
  end
  local verdict = 0
  if newer and not under_way then
    if busy then verdict = 3 else verdict = 1 end
  elseif busy then
    verdict = 2
  end
  if verdict < 2 then
    for k = i + 2, i + 1 + n do
      local p = known[ARGV[k]]
      -- Redis has lost that it is known: an older row must not come after this one.
      if p.noted < seq then
        p.noted = seq
        entries[#entries + 1] = entry(ARGV[k], seven(seq))
      end
      p.claim, p.was_claim = mine .. ARGV[i], true
    end
  end
  if ring == 0 then named = 0 end
  out[row], out[row + 1], out[row + 2], out[row + 3] = verdict, ring, named, changed
  row = row + 4
  i = i + 2 + n
end

local function change(field, value)
  if value then
    set[#set + 1] = field
    set[#set + 1] = value
  else
    del[#del + 1] = field
  end
end
for _, key in ipairs(keys) do
  local p = known[key]
  if p.was_claim then change(key, p.claim) end
  if p.was_late then change(key .. '!', p.late) end
end
if #set > 0 then redis.call('HSET', KEYS[2], unpack(set)) end
if #del > 0 then redis.call('HDEL', KEYS[2], unpack(del)) end
if #entries > 0 then note(KEYS[1], table.concat(entries), ARGV[3]) end
-- Claims of the dead stay in the hash until their participants are claimed
-- again or the hash is left alone for a while.
redis.call('PEXPIRE', KEYS[2], ARGV[2] * 20)
return out
