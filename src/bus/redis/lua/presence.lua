-- Shared by the scripts about who is on a channel; precedes each of them. The keys, all of one slot:
--   instances           by when their registration expires, in ms of this server's clock: an instance renews it every few seconds
--   present:<instance>  s, the number of its last write; r, since when it has been registered without a break; n, all of its connections;
--                       for each member m<id>, "<connections> <announced> <data>": how many connections it has, and of how many the
--                       coming and going is announced
--   announced           <id>, through how many instances: from 0 to more is a join, from more to 0 a leave
-- A write says how things are, never what changed. So one that comes twice, because its answer was lost, changes nothing, and
-- reports nothing.
-- KEYS: 1 instances, 2 announced
-- ARGV: 1 the key of an instance's hash without its name, 2 the channel to report on, 3 the instance that calls

-- What an instance left outlives its registration (ms): somebody has to take it away.
local KEEP = 600000
-- An instance has to be registered for so long (ms), longer than between two renewals, before it may say that others are dead: after an
-- outage of this server all look so until they have renewed.
local GRACE = 6000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local touched, before, after, datas = {}, {}, {}, {}
local dead = {}

-- Whether a member's connections are announced, by the value of its field; and its data.
local function announcedOf(value)
  if not value then return false, '' end
  local announced, data = string.match(value, '^%d+ (%d+) (.*)$')
  return announced ~= nil and announced ~= '0', data or ''
end

-- One more or one less instance announces a member.
local function change(id, by, data)
  if not before[id] then
    touched[#touched + 1] = id
    before[id] = tonumber(redis.call('HGET', KEYS[2], id) or '0')
    after[id] = before[id]
  end
  after[id] = math.max(0, after[id] + by)
  datas[id] = data
end

local function isRegistered(instance)
  local expiry = redis.call('ZSCORE', KEYS[1], instance)
  return expiry and tonumber(expiry) > now
end

-- Finds instances that did not renew their registration: they are dead.
local function findDead(instance)
  if not isRegistered(instance) then return end
  local since = tonumber(redis.call('HGET', ARGV[1] .. instance, 'r') or now)
  if now - since < GRACE then return end
  dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
  for _, other in ipairs(dead) do
    local fields = redis.call('HGETALL', ARGV[1] .. other)
    for index = 1, #fields, 2 do
      if string.sub(fields[index], 1, 1) == 'm' then
        local isAnnounced, data = announcedOf(fields[index + 1])
        if isAnnounced then change(string.sub(fields[index], 2), -1, data) end
      end
    end
  end
end

-- Reports the changes in one frame (frame.ts), then makes them. Publishing comes before all that stays, since a channel may be
-- forbidden.
local function commit()
  local entries = {}
  for _, id in ipairs(touched) do
    local is = after[id] > 0
    if is ~= (before[id] > 0) then
      entries[#entries + 1] = struct.pack('>BI4BI4', 3, 5 + #id + #datas[id], is and 1 or 0, #id) .. id .. datas[id]
    end
  end
  if #entries > 0 then redis.call('PUBLISH', ARGV[2], '\255\1\0' .. table.concat(entries)) end
  for _, id in ipairs(touched) do
    if after[id] == 0 then redis.call('HDEL', KEYS[2], id)
    else redis.call('HSET', KEYS[2], id, string.format('%d', after[id])) end
  end
  for _, other in ipairs(dead) do
    redis.call('DEL', ARGV[1] .. other)
    redis.call('ZREM', KEYS[1], other)
  end
end
