-- What settle and reopen keep besides the counters, for those who look on. It stands before them.
-- The letters of failed outcomes.
local FAILED = 'XDUT'
-- most is how many different reasons are kept apart.
local most = 200

-- pending: of a row that has no outcome, with '!' an intent.
local function pending(record)
  local first = string.byte(record)
  return first == 46 or first == 33 -- '.', '!'
end

-- reason: why a row failed, from its record (see Row.encode): letter, HTTP status, Graph's code.
local function reason(record)
  local at = 2
  local function number()
    local n, unit = 0, 1
    while true do
      local c = string.byte(record, at)
      if not c then return 0 end
      at = at + 1
      n = n + (c % 128) * unit
      if c < 128 then return n end
      unit = unit * 128
    end
  end
  number() -- attempts
  local status = number()
  number() -- time
  local n, code = string.byte(record, at) or 0, ''
  if n < 127 then code = string.sub(record, at + 1, at + n) end -- a GUID says nothing
  return string.sub(record, 1, 1) .. string.format('%.0f', status) .. ' ' .. code
end

-- span: which span of the batch's time it is, so many ms after it was made. They are ever longer, so that there
-- are never many; Go's spanTimes is the reverse.
local function span(ms)
  if ms < 60000 then return math.floor(math.max(ms, 0) / 250) end
  if ms < 600000 then return 240 + math.floor((ms - 60000) / 1000) end
  if ms < 6000000 then return 780 + math.floor((ms - 600000) / 10000) end
  return 1320 + math.floor((ms - 6000000) / 60000)
end

-- expire: gives a key its life if it has none: what is left of the batch's. If it were there for longer, a batch that is
-- made again would find outcomes of the old one.
local function expire(key, life)
  if redis.call('TTL', key) >= 0 then return end
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', key, left > 0 and left or 1000 * life)
end

-- added: notes outcomes of the present span, by letter; negative ones were taken back.
local function added(times, created, counts, life)
  local t = redis.call('TIME')
  local now = span(t[1] * 1000 + math.floor(t[2] / 1000) - created)
  for letter, n in pairs(counts) do redis.call('HINCRBY', times, now .. letter, n) end
  expire(times, life)
end
