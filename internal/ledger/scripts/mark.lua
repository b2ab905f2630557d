-- mark: sets fields of a batch that exists.
-- KEYS 1 meta
-- ARGV field, value pairs
-- returns 1, or 0 if the batch does not exist
if redis.call('HEXISTS', KEYS[1], 'rows') == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
