-- alive: writes something.
-- KEYS 1 what
-- returns OK
return redis.call('SET', KEYS[1], 1, 'EX', 60)
