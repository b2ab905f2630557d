-- prologue: stands before every script that a test with a fake clock sends to a real server.
-- It takes the two last arguments off: seconds and µs of the test's clock.
local fake_us = table.remove(ARGV)
local fake_s = table.remove(ARGV)
local redis = (function(real)
  local year = 365 * 86400
  local function call(run, command, ...)
    local name, args = string.upper(command), {...}
    if name == 'TIME' then return {fake_s, fake_us} end
    if name == 'EXPIRE' or name == 'SETEX' then args[2] = args[2] + year end
    if name == 'PEXPIRE' or name == 'PSETEX' then args[2] = args[2] + 1000 * year end
    if name == 'EXPIREAT' then args[2] = args[2] + 100 * year end -- the test's clock begins in 2000
    if name == 'SET' then
      for i = 3, #args - 1 do
        local option = string.upper(args[i])
        if option == 'EX' then args[i + 1] = args[i + 1] + year end
        if option == 'PX' then args[i + 1] = args[i + 1] + 1000 * year end
      end
    end
    local reply = run(command, unpack(args))
    if name == 'TTL' and reply > 0 then return reply - year end
    if name == 'PTTL' and reply > 0 then return reply - 1000 * year end
    return reply
  end
  return setmetatable({
    call = function(...) return call(real.call, ...) end,
    pcall = function(...) return call(real.pcall, ...) end,
  }, {__index = real})
end)(redis)
