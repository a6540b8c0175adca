-- What the scripts about a channel's log share; it stands before each of them.
-- A log is two keys of one slot. The head is a hash: the epoch, the offset and stamp of the newest entry, and for each instance
-- that published lately its last batch. The other is a stream of the entries kept, with ids <offset>-<stamp>. The stamp, a time of
-- this server in microseconds, tells apart two entries that were given one offset because the server forgot the first. The head
-- outlives the entries.
local HEAD_TTL = 86400000
-- How late a time to live may be renewed, in milliseconds, where the last message came a moment ago: keys then live longer by it.
local HEAD_SLACK = 60000
local LOG_SLACK = 1000

local function now()
  local clock = redis.call('TIME')
  return tonumber(clock[1]) * 1000000 + tonumber(clock[2])
end

local function startEpoch(head, log, epoch)
  redis.call('DEL', log)
  redis.call('HSET', head, 'epoch', epoch, 'offset', '0', 'stamp', '0')
  return epoch, 0, '0'
end

-- Returns epoch, offset and stamp; a log that is not there begins with the fresh epoch.
local function openLog(head, log, fresh)
  local state = redis.call('HMGET', head, 'epoch', 'offset', 'stamp')
  if state[1] then return state[1], tonumber(state[2]), state[3] or '0' end
  return startEpoch(head, log, fresh)
end

-- Whether the log has lost an entry that somebody saw: the counter is behind it, or another one stands in its place. A seen stamp
-- of '' is not known: then only the counter is looked at.
local function forgot(log, epoch, offset, stamp, seenEpoch, seenOffset, seenStamp)
  if seenEpoch ~= epoch then return false end
  local seen = tonumber(seenOffset)
  if offset < seen then return true end
  if seenStamp == '' then return false end
  if offset == seen then return stamp ~= seenStamp end
  local entry = redis.call('XRANGE', log, seenOffset, seenOffset, 'COUNT', 1)[1]
  return entry ~= nil and string.match(entry[1], '%d+$') ~= seenStamp
end

-- Appends ARGV[first] to ARGV[last] with the stamp `at`, and publishes them as one frame (frame.ts). `before` is the stamp of the
-- newest entry so far. Where an instance is given, its batch of that sequence is remembered under it.
-- Returns the offset of the last one, and whether the instance was not known here.
local function append(head, log, channel, epoch, offset, before, at, size, ttl, first, last, instance, sequence)
  local stamp = string.format('%d', at)
  local suffix = '-' .. stamp
  local frame = { '\255\1', string.char(#epoch), epoch, struct.pack('>I8I8', offset + 1, at) }
  for index = first, last do
    offset = offset + 1
    local id = string.format('%d', offset) .. suffix
    if index < last then redis.call('XADD', log, id, 'm', ARGV[index])
    else redis.call('XADD', log, 'MAXLEN', '~', size, id, 'm', ARGV[index]) end
    frame[index - first + 5] = ARGV[index]
  end
  local count = string.format('%d', offset)
  local isNew = false
  if instance then
    local batch = sequence .. ' ' .. epoch .. ' ' .. count .. ' ' .. stamp
    isNew = redis.call('HSET', head, 'offset', count, 'stamp', stamp, instance, batch) > 0
  else
    redis.call('HSET', head, 'offset', count, 'stamp', stamp)
  end
  -- The clock may have been set back.
  local age = (at - tonumber(before)) / 1000
  local slack = math.min(LOG_SLACK, math.floor(ttl / 16))
  if age < 0 or age >= slack then redis.call('PEXPIRE', log, ttl + slack) end
  if age < 0 or age >= HEAD_SLACK then redis.call('PEXPIRE', head, HEAD_TTL + HEAD_SLACK) end
  redis.call('PUBLISH', channel, table.concat(frame))
  return offset, isNew
end
