-- pause: stops a scope until a time, never shortening a longer pause.
-- KEYS 1 limit
-- ARGV 1 ms to pause, or -1 if Graph did not say: then 1 s, doubled for each further pause, up to ARGV 2 ms
-- returns {ms left of the pause, 1 if this call began or prolonged it}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'pause', 'strikes')
local pause, strikes = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local ms = tonumber(ARGV[1])
if ms < 0 then
  -- Requests that were under way when the pause began are the same strike.
  if pause > now then return {pause - now, 0} end
  if now - pause > 60000 then strikes = 0 end
  ms = math.min(1000 * 2 ^ strikes, tonumber(ARGV[2]))
  redis.call('HSET', KEYS[1], 'strikes', strikes + 1)
end
if now + ms <= pause then return {pause - now, 0} end
redis.call('HSET', KEYS[1], 'pause', string.format('%.0f', now + ms))
redis.call('EXPIRE', KEYS[1], 86400)
return {ms, 1}
