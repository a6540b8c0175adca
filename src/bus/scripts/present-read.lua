-- Who is on a channel, by all instances.
-- KEYS: 1 all instances by expiry   ARGV: 1 what stands before an instance's name in its key, of the same slot
-- Returns the hash of each instance, see present-write.lua.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local hashes = {}
for _, instance in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')) do
  hashes[#hashes + 1] = redis.call('HGETALL', ARGV[1] .. instance)
end
return hashes
