-- Renews the registration of one instance on a channel, as it does every few seconds for each channel: as cheaply as that can be.
-- KEYS: 1 instances (see presence.lua)
-- ARGV: 1 instance, 2 how long the registration holds (ms)
-- Returns 1, or 0 where presence-write.lua has to look: the registration had run out, or that of another instance has.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expiry or tonumber(expiry) <= now then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
return tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]) > now and 1 or 0
