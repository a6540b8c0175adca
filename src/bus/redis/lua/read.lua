-- Reads the kept messages of a channel, in order. Behind log.lua.
-- KEYS: 1 head, 2 log
-- ARGV: 1 fresh epoch, 2 how long a log lives that begins now (ms), 3 '1' if the reader keeps it alive, 4 size, 5 limit,
--       6 bytes after which the page ends, 7 to 9 epoch, offset and checkpoint of the newest entry that the instance has
--       seen, 10 to 12 those of an entry that the reader has seen, then, to begin after a position, 13 its epoch, 14 its offset; without
--       them the newest messages are read
-- Returns epoch and offset of the newest message, the checkpoint of the last one returned, 1 if everything after the position is kept, 1
-- if the page ends before the log, the offset after which it begins, and the batches: of the first and the last one the reader may want
-- only a part.

-- Bytes of an entry besides its message (frame.ts).
local ENTRY_BYTES = 5
local begins = redis.call('EXISTS', KEYS[1]) == 0
local epoch, offset, checkpoint = openLog(KEYS[1], KEYS[2], ARGV[1])

-- If the log has lost an entry that the instance or the reader saw, positions mean nothing any more.
for check = 7, 10, 3 do
  if forgot(KEYS[2], epoch, offset, checkpoint, ARGV[check], ARGV[check + 1], ARGV[check + 2]) then
    epoch, offset, checkpoint = startAgain(KEYS[1], KEYS[2], ARGV[1], epoch, ARGV[check + 2])
  end
end
if ARGV[3] == '1' then
  redis.call('PEXPIRE', KEYS[1], HEAD_TTL)
elseif begins then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end

-- Trimming is approximate, and another instance may keep more: no more than size counts.
local limit = tonumber(ARGV[5])
local since = tonumber(ARGV[14])
local from = math.max(1, offset - tonumber(ARGV[4]) + 1)
local resumed = 0
if not since then
  from = math.max(from, offset - limit + 1)
elseif ARGV[13] == epoch and since <= offset then
  local oldest = redis.call('XRANGE', KEYS[2], string.format('%d', from), '+', 'COUNT', 1)[1]
  local first = oldest and math.max(from, (placeOf(oldest))) or offset + 1
  -- A reader that knows a checkpoint needs proof that its message was not forgotten: if it is gone, others may have been in its place. The
  -- message before those that are replayed is kept for that, and was compared above; not if another configuration keeps less.
  local isShown = since >= first or since == 0 or since == offset or not tonumber(ARGV[12])
  if since == first - 1 and not isShown then
    local batch = redis.call('XRANGE', KEYS[2], string.format('%d', since), '+', 'COUNT', 1)[1]
    isShown = batch and (placeOf(batch)) <= since
  end
  if since >= first - 1 and isShown then
    resumed = 1
    from = since + 1
  end
end
local start = from - 1

local bytes = tonumber(ARGV[6])
local batches = {}
local count = 0
local cut = 0
local more = true
while more and cut == 0 and count < limit do
  local some = redis.call('XRANGE', KEYS[2], string.format('%d', from), '+', 'COUNT', PORTION)
  more = #some == PORTION
  for _, batch in ipairs(some) do
    if bytes <= 0 then
      cut = 1
      break
    end
    if count >= limit then break end
    local first, last, itsCheckpoint = placeOf(batch)
    batches[#batches + 1] = batch
    -- Only the reader knows which part of a batch it wants that begins before the page.
    if first >= from then bytes = bytes - #batch[2][2] + (last - first + 1) * ENTRY_BYTES end
    count = count + last - math.max(first, from) + 1
    from = last + 1
    checkpoint = itsCheckpoint
  end
end
return { epoch, string.format('%d', offset), checkpoint, resumed, cut, string.format('%d', start), batches }
