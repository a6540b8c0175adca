-- Claims a tick for the whole cluster and publishes its message, in one step: an instance that dies has done both or neither. Behind
-- log.lua.
-- KEYS: 1 the last tick claimed; on a channel with history also 2 head, 3 log
-- ARGV: 1 due (ms), 2 period (ms), 3 ttl (ms), 4 channel, 5 fresh epoch, 6 to 8 epoch, offset and checkpoint of the
--       newest entry seen, 9 size, 10 ttl (ms), 11 the text, or with history its entry
-- Returns 1 if this call published.
local last = tonumber(redis.call('GET', KEYS[1]) or '-1')
local due = tonumber(ARGV[1])
local period = tonumber(ARGV[2])
local clock = redis.call('TIME')
local at = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local nowMs = math.floor(at / 1000)
-- A tick further ahead than this comes from a wrong clock.
local horizon = nowMs + 60000

if last == due then return 0 end
-- A tick from a wrong clock must not silence the right ones.
if last > due and last <= horizon then return 0 end
-- Nor may a wrong clock add ticks of its own while right ones tick.
if due > horizon and last <= horizon and last > nowMs - 2 * period then return 0 end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if not KEYS[2] then
  redis.call('PUBLISH', ARGV[4], ARGV[11])
  return 1
end
local epoch, offset, checkpoint = openLog(KEYS[2], KEYS[3], ARGV[5])
if forgot(KEYS[3], epoch, offset, checkpoint, ARGV[6], ARGV[7], ARGV[8]) then
  epoch, offset = startAgain(KEYS[2], KEYS[3], ARGV[5], epoch, ARGV[8])
end
appendTo(KEYS[2], KEYS[3], ARGV[4], epoch, offset, string.format('%d', at), tonumber(ARGV[9]), ARGV[10], 1, ARGV[11])
return 1
