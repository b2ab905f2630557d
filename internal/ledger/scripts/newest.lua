-- newest: the newest of what was noted about each participant of a call, a number. Scripts that use it begin with this text.
-- A block is a string of 16 bytes for each note: 9 of the participant's key, 7 of the number. There is
-- one at first; what it has no room for goes to one of 16 more by the key's first bytes, and on from there. So to note
-- many is one write, no entry has a cost of its own, and even in a huge call only short texts are searched.
-- The names of further blocks are made here; they have the first one's hash tag.
local BLOCK = 16384

local function below(key, id, depth) return key .. ':' .. string.format('%x', string.byte(id, depth) % 16) end

local function number(text, at)
  local a, b, c, d, e, f, g = string.byte(text, at, at + 6)
  return (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g
end

-- entry is what is noted of one participant; tail is seven(number).
local function entry(id, tail) return string.sub(id, 1, 9) .. tail end

local function seven(n)
  local high = math.floor(n / 4294967296)
  n = n - high * 4294967296
  return string.char(math.floor(high / 65536), math.floor(high / 256) % 256, high % 256,
    math.floor(n / 16777216), math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
end

-- join is table.concat for lists that are too long for some servers.
local function join(list)
  local parts = {}
  for at = 1, #list, 500 do parts[#parts + 1] = table.concat(list, '', at, math.min(at + 499, #list)) end
  return table.concat(parts)
end

-- compact leaves the newest entry of each participant.
local function compact(text)
  local best, out = {}, {}
  for at = 1, #text, 16 do
    local id = string.sub(text, at, at + 8)
    if not best[id] then out[#out + 1] = id end
    if not best[id] or number(text, at + 9) > number(best[id], 10) then best[id] = string.sub(text, at, at + 15) end
  end
  for i, id in ipairs(out) do out[i] = best[id] end
  return join(out)
end

-- missing gives those of the entries that a text does not have.
local function missing(text, entries)
  local out = {}
  for at = 1, #entries, 16 do
    local one = string.sub(entries, at, at + 15)
    local there = string.find(text, one, 1, true)
    while there and there % 16 ~= 1 do there = string.find(text, one, there + 1, true) end
    if not there then out[#out + 1] = one end
  end
  return join(out)
end

-- note adds entries to a block, whose life in seconds is at least the one given. again: some may be there already.
local function note(key, entries, life, again, depth)
  local text = redis.call('GET', key) or ''
  life = math.max(tonumber(life), redis.call('TTL', key))
  if #text < BLOCK then
    text = text .. (again and text ~= '' and missing(text, entries) or entries)
    if #text > BLOCK then text = compact(text) end
    entries = string.sub(text, BLOCK + 1)
    -- Not APPEND, which doubles the memory of what it adds to.
    redis.call('SET', key, string.sub(text, 1, BLOCK), 'EX', life)
  elseif redis.call('TTL', key) < life then
    redis.call('EXPIRE', key, life)
  end
  if entries == '' then return end
  depth = depth or 1
  local parts = {}
  for at = 1, #entries, 16 do
    local one = string.sub(entries, at, at + 15)
    local to = below(key, one, depth)
    parts[to] = parts[to] or {}
    table.insert(parts[to], one)
  end
  for to, part in pairs(parts) do note(to, join(part), life, again, depth + 1) end
end

-- newest gives the greatest number noted of a participant, 0 if there is none. texts keeps what has been read.
local function newest(key, id, texts)
  local best, depth = 0, 1
  id = string.sub(id, 1, 9)
  while true do
    local text = texts[key]
    if not text then
      text = redis.call('GET', key) or ''
      texts[key] = text
    end
    local at = string.find(text, id, 1, true)
    while at do
      if at % 16 == 1 then best = math.max(best, number(text, at + 9)) end
      at = string.find(text, id, at + 1, true)
    end
    if #text < BLOCK then return best end
    key, depth = below(key, id, depth), depth + 1
  end
end

