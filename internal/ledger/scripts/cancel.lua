-- cancel: notes that no pending row of a batch shall be sent any more.
-- KEYS 1 meta, 2 counts
-- returns 1; 2 if no row is pending, so that there is nothing to cancel; 0 if the batch does not exist
local rows = redis.call('HGET', KEYS[1], 'rows')
if not rows then return 0 end
if tonumber(redis.call('HGET', KEYS[2], 'done') or 0) >= tonumber(rows) then return 2 end
redis.call('HSET', KEYS[1], 'cancelled', 1)
return 1
