-- What the scripts about a channel's log share; it stands before each of them.
-- A log is two keys of one slot. The head is a hash: the epoch, the offset and stamp of the newest message, when the times to live
-- were renewed, and for each instance that published lately its last batch. The other is a stream of the batches kept, with ids <offset of the last message>-<stamp>,
-- and as fields m, the messages (a list of entries, frame.ts), and where there are several n, how many. The stamp, a time of this
-- server in microseconds, tells apart two messages that were given one offset because the server forgot the first. The head
-- outlives the stream.
-- 24 h, and a minute since it is not renewed with each message.
local HEAD_TTL = 86460000
-- How late the times to live may be renewed, in milliseconds: a log then lives longer by it.
local LOG_SLACK = 1000

local function now()
  local clock = redis.call('TIME')
  return tonumber(clock[1]) * 1000000 + tonumber(clock[2])
end

local function startEpoch(head, log, epoch)
  redis.call('DEL', log)
  redis.call('HSET', head, 'epoch', epoch, 'offset', '0', 'stamp', '0', 'renewed', '0')
  return epoch, 0, '0', '0'
end

-- Returns epoch, offset and stamp, when the times to live were renewed, and the last batch of an instance, if one is given; a log
-- that is not there begins with the fresh epoch.
local function openLog(head, log, fresh, instance)
  local state = redis.call('HMGET', head, 'epoch', 'offset', 'stamp', 'renewed', instance or 'epoch')
  if state[1] then return state[1], tonumber(state[2]), state[3] or '0', state[4] or '0', instance and state[5] end
  return startEpoch(head, log, fresh)
end

-- The offset of the first message of a batch, that of the last one, and their stamp.
local function placeOf(batch)
  local last, stamp = string.match(batch[1], '^(%d+)-(%d+)$')
  local fields = batch[2]
  last = tonumber(last)
  return last - (fields[3] == 'n' and tonumber(fields[4]) or 1) + 1, last, stamp
end

-- Whether the log has lost a message that somebody saw: the counter is behind it, or another one stands in its place. A seen stamp
-- of '' is not known: then only the counter is looked at.
local function forgot(log, epoch, offset, stamp, seenEpoch, seenOffset, seenStamp)
  if seenEpoch ~= epoch then return false end
  local seen = tonumber(seenOffset)
  if offset < seen then return true end
  if seenStamp == '' then return false end
  if offset == seen then return stamp ~= seenStamp end
  local batch = redis.call('XRANGE', log, seenOffset, '+', 'COUNT', 1)[1]
  if not batch then return false end
  local first, _, itsStamp = placeOf(batch)
  return first <= seen and itsStamp ~= seenStamp
end

-- Appends a batch, `count` messages in `list`, with the stamp `at`, and publishes it as one frame (frame.ts). Where an instance is
-- given, its batch of that sequence is remembered under it. Returns the offset of the last message, and whether the instance was not
-- known here.
local function append(head, log, channel, epoch, offset, renewed, at, size, ttl, count, list, instance, sequence)
  local last = offset + count
  local stamp = string.format('%d', at)
  local place = string.format('%d', last)
  -- First, since this alone may be forbidden: then nothing was done.
  local heard = redis.pcall('PUBLISH', channel, struct.pack('>BBBc0I8I8', 255, 1, #epoch, epoch, offset + 1, at) .. list)
  if type(heard) == 'table' then
    redis.call('PEXPIRE', head, HEAD_TTL)
    error(heard.err)
  end

  local oldest = math.max(0, last - size + 1)
  local id = place .. '-' .. stamp
  local added
  if count == 1 then added = redis.pcall('XADD', log, 'MINID', '~', oldest, id, 'm', list)
  else added = redis.pcall('XADD', log, 'MINID', '~', oldest, id, 'm', list, 'n', count) end
  if type(added) == 'table' then
    -- Somebody else has put something there.
    redis.call('DEL', log)
    redis.call('XADD', log, id, 'm', list, 'n', count)
    renewed = '0'
  end

  local isNew = false
  if instance then
    local batch = sequence .. ' ' .. epoch .. ' ' .. place .. ' ' .. stamp
    isNew = redis.call('HSET', head, 'offset', place, 'stamp', stamp, instance, batch) > 0
  else
    redis.call('HSET', head, 'offset', place, 'stamp', stamp)
  end
  -- The clock may have been set back.
  local age = (at - tonumber(renewed)) / 1000
  local slack = math.min(LOG_SLACK, math.floor(ttl / 16))
  if age < 0 or age >= slack then
    redis.call('HSET', head, 'renewed', stamp)
    redis.call('PEXPIRE', log, ttl + slack)
    redis.call('PEXPIRE', head, HEAD_TTL)
  end
  return last, isNew
end
