-- Claims a tick for the whole cluster and publishes its message, in one step: an instance that dies has done both or neither.
-- KEYS[1] the last tick claimed   ARGV: due (ms), period (ms), channel, text, ttl (ms)   returns 1 if this call published
local last = tonumber(redis.call('GET', KEYS[1]) or '-1')
local due = tonumber(ARGV[1])
local period = tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
-- What lies further ahead than this comes from a wrong clock.
local horizon = now + 60000

if last == due then return 0 end
-- A tick from a wrong clock must not silence the right ones.
if last > due and last <= horizon then return 0 end
-- Nor may a wrong clock add ticks of its own while right ones tick.
if due > horizon and last <= horizon and last > now - 2 * period then return 0 end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[5])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
