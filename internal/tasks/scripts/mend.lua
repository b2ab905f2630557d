-- mend: looks whether asynq will come across a task, and removes what is left of it if not: a list, a set or a
-- part of the task may be lost alone, and what is left keeps its id from being used.
-- KEYS 1 the task, 2 pending, 3 active, 4 leases, 5 scheduled, 6 retry, 7 archived
-- ARGV 1 task id
-- returns 1 if it will, 2 if it was archived, else 0
local function has(set) return redis.call('ZSCORE', set, ARGV[1]) end
local function listed(list) return redis.call('LPOS', list, ARGV[1]) end
if redis.call('HEXISTS', KEYS[1], 'msg') == 1 then
  if has(KEYS[5]) or has(KEYS[6]) then return 1 end
  if has(KEYS[7]) then return 2 end
  if has(KEYS[4]) and listed(KEYS[3]) then return 1 end
  if listed(KEYS[2]) then return 1 end
end
redis.call('DEL', KEYS[1])
redis.call('LREM', KEYS[2], 0, ARGV[1])
redis.call('LREM', KEYS[3], 0, ARGV[1])
for i = 4, 7 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 0
