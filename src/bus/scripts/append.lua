-- Appends a batch to a channel's log and publishes it, all or nothing, once: a batch that is written again because its answer
-- was lost is known by its sequence.
-- KEYS: 1 head, 2 log, 3 the last batch of this instance, 4 if given, what was published under the idempotency key
-- ARGV: 1 channel, 2 fresh epoch, 3 and 4 epoch and highest offset seen by the instance, 5 sequence, 6 its ttl (ms),
--       7 size, 8 ttl (ms), 9 ttl of the idempotency key (ms), 10 and on the entries
-- Returns epoch and offset of the last entry, and its stamp if this call appended it.
local last = redis.call('GET', KEYS[3])
if last then
  local sequence, epoch, offset = string.match(last, '^(%d+) (%S+) (%d+)$')
  if sequence and tonumber(sequence) >= tonumber(ARGV[5]) then return { epoch, offset } end
end
if KEYS[4] then
  local known = redis.call('GET', KEYS[4])
  if known then
    local epoch, offset = string.match(known, '^(%S+) (%d+)$')
    if epoch then return { epoch, offset } end
  end
end

local epoch, offset = openLog(KEYS[1], KEYS[2], ARGV[2])
-- A counter behind what was seen would give offsets twice.
if epoch == ARGV[3] and offset < tonumber(ARGV[4]) then epoch, offset = startEpoch(KEYS[1], KEYS[2], ARGV[2]) end
local stamp
offset, stamp = append(KEYS[1], KEYS[2], ARGV[1], epoch, offset, ARGV[7], ARGV[8], 10)

local id = epoch .. ' ' .. string.format('%.0f', offset)
redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. id, 'PX', ARGV[6])
if KEYS[4] then redis.call('SET', KEYS[4], id, 'PX', ARGV[9]) end
return { epoch, string.format('%.0f', offset), stamp }
