-- Shared by the scripts about a channel's log; precedes each of them, and the second part of the one that appends. A log has two keys
-- (keys.ts):
--   head  a hash: epoch, the current one; under its name the offset of the newest message; check, the checkpoint of that; and for each
--         instance that published lately, under its name, its last batch: "<sequence> <epoch> <offset of its last message> <checkpoint>"
--   log   a stream of the kept batches, with ids <offset of the last message>-<checkpoint>; m, the messages (a list of entries, frame.ts);
--         n, their number, if there are several
-- The checkpoint, about the time in microseconds, tells apart two messages that were given one offset because the server forgot the
-- first (position.ts). The head outlives the stream.

-- 24 h, and a minute since it is not renewed with each message.
local HEAD_TTL = 86460000
-- Batches that are read at a time: a whole log of large messages would be a burden on this server's memory.
local PORTION = 16

local function startEpoch(head, log, epoch, before)
  redis.call('DEL', log)
  if before then redis.call('HDEL', head, before) end
  redis.call('HSET', head, 'epoch', epoch, epoch, '0', 'check', '0')
  return epoch, 0, '0'
end

-- Returns epoch, offset and checkpoint, and the last batch of an instance, if one is given. A log that does not exist begins with the
-- fresh epoch.
local function openLog(head, log, fresh, instance)
  local state = redis.call('HMGET', head, 'epoch', 'check', instance or 'epoch')
  local epoch = state[1]
  local offset = epoch and redis.call('HGET', head, epoch)
  if offset then return epoch, tonumber(offset), state[2] or '0', instance and state[3] end
  return startEpoch(head, log, fresh)
end

-- Returns the offsets of the first and the last message of a batch, and their checkpoint.
local function placeOf(batch)
  local last, checkpoint = string.match(batch[1], '^(%d+)-(%d+)$')
  local fields = batch[2]
  last = tonumber(last)
  return last - (fields[3] == 'n' and tonumber(fields[4]) or 1) + 1, last, checkpoint
end

-- Returns true if the log has lost a message that somebody saw: the counter is behind it, or another message is in its place. A checkpoint
-- that is no number is not known: then only the counter counts.
local function forgot(log, epoch, offset, checkpoint, seenEpoch, seenOffset, seenCheckpoint)
  if seenEpoch ~= epoch then return false end
  local seen = tonumber(seenOffset)
  if offset < seen then return true end
  if not tonumber(seenCheckpoint) then return false end
  if offset == seen then return checkpoint ~= seenCheckpoint end
  -- A key of another type gives an error, which has no elements.
  local batch = redis.pcall('XRANGE', log, string.format('%d', seen), '+', 'COUNT', 1)[1]
  if not batch then return false end
  local first, _, itsCheckpoint = placeOf(batch)
  return first <= seen and itsCheckpoint ~= seenCheckpoint
end

-- Begins a new epoch for a log that has lost what was seen. It keeps the messages with later checkpoints: others may have published
-- since.
local function startAgain(head, log, epoch, before, seenCheckpoint)
  local seen = tonumber(seenCheckpoint)
  local later = {}
  local from = seen and '+'
  while from do
    -- A key of another type gives an error, which has no elements.
    local some = redis.pcall('XREVRANGE', log, from, '-', 'COUNT', PORTION)
    from = #some == PORTION and '(' .. some[PORTION][1]
    for _, batch in ipairs(some) do
      local _, _, checkpoint = placeOf(batch)
      if tonumber(checkpoint) <= seen then
        from = false
        break
      end
      later[#later + 1] = batch
    end
  end
  local ttl = redis.call('PTTL', log)
  local _, offset, checkpoint = startEpoch(head, log, epoch, before)
  for index = #later, 1, -1 do
    local first, last, itsCheckpoint = placeOf(later[index])
    offset = offset + last - first + 1
    checkpoint = itsCheckpoint
    redis.call('XADD', log, string.format('%d', offset) .. '-' .. checkpoint, unpack(later[index][2]))
  end
  if #later > 0 then
    redis.call('HSET', head, epoch, string.format('%d', offset), 'check', checkpoint)
    if ttl > 0 then redis.call('PEXPIRE', log, ttl) end
  end
  return epoch, offset, checkpoint
end

-- Begins a log with a batch of `count` messages in `list`, after appending gave nothing, since there is no log, or an error: somebody has
-- put something else there, or messages that its head does not know. Any other error is raised.
local function begin(added, log, id, count, list)
  if added and not string.find(added.err, '^WRONGTYPE') and not string.find(added.err, 'ID specified in XADD', 1, true) then
    error(added.err, 0)
  end
  redis.call('DEL', log)
  if count == 1 then redis.call('XADD', log, id, 'm', list)
  else redis.call('XADD', log, id, 'm', list, 'n', count) end
end

-- Publishes a batch of `count` messages in `list` as one frame (frame.ts), and appends it to a log that was opened. Returns the offset of
-- its last message.
local function appendTo(head, log, channel, epoch, offset, checkpoint, size, ttl, count, list)
  local last = string.format('%d', offset + count)
  local id = last .. '-' .. checkpoint
  -- Also the one before those that are replayed: it proves to a reader at that position that nothing was forgotten.
  local oldest = math.max(0, offset + count - size)
  local header = struct.pack('>BBBc0I8I8', 255, 1, #epoch, epoch, offset + 1, checkpoint)
  redis.call('PEXPIRE', head, HEAD_TTL)
  -- Precedes every other write, since an ACL may forbid the channel.
  local heard = redis.pcall('PUBLISH', channel, header .. list)
  if type(heard) == 'table' then error(heard.err, 0) end
  local added
  if count == 1 then added = redis.pcall('XADD', log, 'NOMKSTREAM', 'MINID', '~', oldest, id, 'm', list)
  else added = redis.pcall('XADD', log, 'NOMKSTREAM', 'MINID', '~', oldest, id, 'm', list, 'n', count) end
  if type(added) ~= 'string' then begin(added, log, id, count, list) end
  redis.call('HSET', head, epoch, last, 'check', checkpoint)
  redis.call('PEXPIRE', log, ttl)
  return last
end
