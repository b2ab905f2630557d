-- observe: notes the newest changes of participants of one call.
-- KEYS 1 newest (blocks of sequence numbers)
-- ARGV 1 key life in seconds, 2 entries as newest.lua has them, 3 1 if they may have been noted before
-- returns nothing of use
note(KEYS[1], ARGV[2], ARGV[1], ARGV[3] == '1')
return 1
