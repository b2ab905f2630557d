-- renew: prolongs claims of one owner.
-- KEYS 1 claims
-- ARGV 1 owner, 2 life of a claim in ms, then participant keys
-- returns how many of them the owner still holds
local t = redis.call('TIME')
local expiry = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
local held = 0
for i = 3, #ARGV do
  local claim = redis.call('HGET', KEYS[1], ARGV[i])
  if claim then
    local owner, of = string.match(claim, '^([^:]*):%d+:(%d+)$')
    if owner == ARGV[1] then
      redis.call('HSET', KEYS[1], ARGV[i], owner .. ':' .. expiry .. ':' .. of)
      held = held + 1
    end
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 20)
return held
