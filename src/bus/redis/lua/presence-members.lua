-- Lists who is on a channel through all instances. Takes dead instances away, too. Behind presence.lua, which says what KEYS and ARGV are.
-- Returns the hash of each instance.
findDead(ARGV[3])
commit()
local hashes = {}
for _, instance in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')) do
  hashes[#hashes + 1] = redis.call('HGETALL', ARGV[1] .. instance)
end
return hashes
