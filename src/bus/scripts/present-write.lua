-- Says who is on a channel by one instance.
-- KEYS: 1 hash of this instance: n, all connections, and for each member m<member>, its connections; 2 all instances by expiry
-- ARGV: 1 instance, 2 ttl (ms), 3 '1' if it says everything, 4 all connections, then members and their connections
-- Returns 0 where only changes were said and what they change is gone: then everything has to be said.
if ARGV[4] == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 1
end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[1])
elseif redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'n', ARGV[4])
for index = 5, #ARGV, 2 do
  if ARGV[index + 1] == '0' then
    redis.call('HDEL', KEYS[1], 'm' .. ARGV[index])
  else
    redis.call('HSET', KEYS[1], 'm' .. ARGV[index], ARGV[index + 1])
  end
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
