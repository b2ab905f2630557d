-- adopt: sets how the rate goes on, unless that has changed since it was thought out.
-- KEYS 1 limit (hash, see lease)
-- ARGV 1 version, 2 climb
-- returns 1 if it was set
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'climb', ARGV[2], 'version', ARGV[1] .. '+')
return 1
