-- renew: prolongs claims of one owner.
-- KEYS 1 claims
-- ARGV 1 owner, 2 life of a claim in ms, then participant keys
-- returns how many of them the owner still holds
local t = redis.call('TIME')
local expiry = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
local held = {}
for k, claim in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, 3))) do
  if claim then
    local owner, of = string.match(claim, '^([^:]*):%d+:(%d+)$')
    if owner == ARGV[1] then
      held[#held + 1] = ARGV[2 + k]
      held[#held + 1] = owner .. ':' .. expiry .. ':' .. of
    end
  end
end
if #held > 0 then redis.call('HSET', KEYS[1], unpack(held)) end
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 20)
return #held / 2
