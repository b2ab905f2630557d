-- notice: takes a notice up, if it is to be sent now and nobody else is sending it.
-- KEYS 1 the notice
-- ARGV 1 token of this question (one that is sent again gets the same answer), 2 ms for which nobody else shall send it, 3 key life in seconds,
--      4 when the batch finished, ms, 5 how long after that it is sent at most, ms
-- returns {what, ms, failures}: 'over' it was sent or given up; 'late' it is given up now; 'busy' somebody is sending it,
--      'wait' it failed, and for ms nobody else may; 'mine' it is the asker's to send. failures is how often it failed
local n = redis.call('HMGET', KEYS[1], 'over', 'next', 'failures', 'token')
if n[1] then return {'over', 0, 0} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local failures = tonumber(n[3] or 0)
local answer
if now > ARGV[4] + ARGV[5] then
  redis.call('HSET', KEYS[1], 'over', 'late')
  answer = {'late', 0, failures}
elseif n[2] and now < tonumber(n[2]) and n[4] ~= ARGV[1] then
  return {n[4] and 'busy' or 'wait', n[2] - now, failures}
else
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'next', string.format('%.0f', now + ARGV[2]))
  answer = {'mine', 0, failures}
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return answer
