-- Appends a batch to a channel's log and publishes it, all or nothing, once: a batch that is written again because its answer
-- was lost is known by its sequence.
-- KEYS: 1 head, 2 log, 3 the last batch of this instance, 4 if given, what was published under the idempotency key
-- ARGV: 1 channel, 2 fresh epoch, 3 to 5 epoch, offset and stamp of the newest entry that the instance has seen, 6 sequence,
--       7 its ttl (ms), 8 size, 9 ttl (ms), 10 ttl of the idempotency key (ms), 11 and on the entries
-- Returns epoch and offset of the last entry, and its stamp if this call appended it.
local last = redis.call('GET', KEYS[3])
if last then
  local sequence, epoch, offset = string.match(last, '^(%d+) (%S+) (%d+)$')
  if sequence and tonumber(sequence) >= tonumber(ARGV[6]) then return { epoch, offset } end
end
if KEYS[4] then
  local known = redis.call('GET', KEYS[4])
  if known then
    local epoch, offset = string.match(known, '^(%S+) (%d+)$')
    if epoch then return { epoch, offset } end
  end
end

local epoch, offset, stamp = openLog(KEYS[1], KEYS[2], ARGV[2])
-- Otherwise offsets would be given twice.
if forgot(KEYS[2], epoch, offset, stamp, ARGV[3], ARGV[4], ARGV[5]) then epoch, offset = startEpoch(KEYS[1], KEYS[2], ARGV[2]) end
offset, stamp = append(KEYS[1], KEYS[2], ARGV[1], epoch, offset, ARGV[8], ARGV[9], 11)

local id = epoch .. ' ' .. string.format('%.0f', offset)
redis.call('SET', KEYS[3], ARGV[6] .. ' ' .. id, 'PX', ARGV[7])
if KEYS[4] then redis.call('SET', KEYS[4], id, 'PX', ARGV[10]) end
return { epoch, string.format('%.0f', offset), stamp }
