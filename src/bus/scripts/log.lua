-- What the scripts about a channel's log share; it stands before each of them.
-- A log is two keys of one slot. The head is a hash: the epoch, and the offset and stamp of the newest entry. The other is a
-- stream of the entries kept, with ids <offset>-<stamp>. The stamp, a time of this server in microseconds, tells apart two
-- entries that were given one offset because the server forgot the first. The head outlives the entries.
local HEAD_TTL = 86400000

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

-- Appends ARGV[first] and what follows, and publishes them as one frame (frame.ts). Returns offset and stamp of the last one.
local function append(head, log, channel, epoch, offset, size, ttl, first)
  local clock = redis.call('TIME')
  local stamp = string.format('%.0f', tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
  local frame = { '\255\1', string.char(#epoch), epoch, struct.pack('>I8I8', offset + 1, tonumber(stamp)) }
  for index = first, #ARGV do
    offset = offset + 1
    redis.call('XADD', log, 'MAXLEN', '~', size, string.format('%.0f-%s', offset, stamp), 'm', ARGV[index])
    frame[#frame + 1] = ARGV[index]
  end
  redis.call('PEXPIRE', log, ttl)
  redis.call('HSET', head, 'offset', string.format('%.0f', offset), 'stamp', stamp)
  redis.call('PEXPIRE', head, HEAD_TTL)
  redis.call('PUBLISH', channel, table.concat(frame))
  return offset, stamp
end
