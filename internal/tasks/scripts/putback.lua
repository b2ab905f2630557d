-- putback: hands a task back to its queue if nobody has beaten for it since.
-- KEYS 1 leases, 2 active, 3 pending, 4 the task
-- ARGV 1 task id, 2 its lease as it was seen
-- returns 1 if the task is pending again, else 0
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('LREM', KEYS[2], 0, ARGV[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[4], 'msg') == 0 then
  redis.call('DEL', KEYS[4])
  return 0
end
-- Tasks are taken from this end: it has waited long enough.
redis.call('RPUSH', KEYS[3], ARGV[1])
local now = redis.call('TIME')
redis.call('HSET', KEYS[4], 'state', 'pending', 'pending_since', string.format('%d%06d000', tonumber(now[1]), tonumber(now[2])))
return 1
