-- Says who is on a channel through one instance, and renews its registration. Behind presence.lua.
-- KEYS: 1 and 2 see there, 3 the hash of this instance
-- ARGV: 1 to 3 see there, 4 the number of this write, 5 how long the registration holds (ms), 6 '1' if this says everything, 7 all
--       connections, then for each member its id, connections, announced connections and data
-- Returns 0 where only changes were said and what they change is gone: then everything has to be said.
local MEMBERS = 8
local own, sequence, connections = KEYS[3], tonumber(ARGV[4]), ARGV[7]
local known = redis.call('HGET', own, 's')
-- A write that a network held back must not undo later ones.
if known and tonumber(known) >= sequence then return 1 end
local everything = ARGV[6] == '1' or connections == '0'
if not known and not everything then return 0 end

local said, gone = {}, {}
for index = MEMBERS, #ARGV, 4 do
  local id = ARGV[index]
  local was, data = announcedOf(known and redis.call('HGET', own, 'm' .. id))
  local is = ARGV[index + 2] ~= '0'
  said[id] = true
  if is and not was then change(id, 1, ARGV[index + 3])
  elseif was and not is then change(id, -1, data) end
  if ARGV[index + 1] == '0' then gone[#gone + 1] = id end
end
if known and everything then
  local fields = redis.call('HGETALL', own)
  for index = 1, #fields, 2 do
    local id = string.sub(fields[index], 2)
    if string.sub(fields[index], 1, 1) == 'm' and not said[id] then
      local was, data = announcedOf(fields[index + 1])
      if was then change(id, -1, data) end
      gone[#gone + 1] = id
    end
  end
end
findDead(ARGV[3])
commit()

redis.call('HSET', own, 's', ARGV[4], 'n', connections)
if not isRegistered(ARGV[3]) then redis.call('HSET', own, 'r', string.format('%.0f', now)) end
for _, id in ipairs(gone) do redis.call('HDEL', own, 'm' .. id) end
for index = MEMBERS, #ARGV, 4 do
  if ARGV[index + 1] ~= '0' then
    redis.call('HSET', own, 'm' .. ARGV[index], ARGV[index + 1] .. ' ' .. ARGV[index + 2] .. ' ' .. ARGV[index + 3])
  end
end
if connections == '0' then
  -- What stays knows late writes.
  redis.call('PEXPIRE', own, ARGV[5])
  redis.call('ZREM', KEYS[1], ARGV[3])
  return 1
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[5])), ARGV[3])
for _, key in ipairs({ KEYS[1], KEYS[2], own }) do redis.call('PEXPIRE', key, KEEP) end
return 1
