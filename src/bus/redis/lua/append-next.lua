-- Appends batches to the logs of channels and publishes them. Each batch is appended whole or not at all, and once: a batch that is
-- written again, because its answer was lost, is recognised by its sequence, whichever of the two arrives first.
-- KEYS: for each batch its head and its log, and with an idempotency key also the key of what was published under that
-- ARGV: 1 the instance's name in heads; 2 the checkpoint of these batches; 3 a fresh epoch, how long the last batches of other
--       instances are remembered (ms) and how long an idempotency key is (ms), separated by spaces; then for each batch: the channel;
--       size and ttl (ms), separated by a space; the mode; its sequence; the number of messages; the messages; the epoch of the newest
--       entry that the instance has seen of the log; the offset of the batch's last message if the batch follows that entry. For the
--       next batch then: the offset of the oldest message to keep (one more than is replayed, see log.lua), and the header of the
--       frame. For other batches: the checkpoint of that entry if it is unproven, and nothing.
--       Modes: 'n' the next batch; 'r' the next batch, with times to live to renew; 's' look at the log first; 'k' the same under an
--       idempotency key.
-- Returns an empty text if all were next batches. Otherwise a line for each batch: empty for a next batch; epoch, offset of its last
-- message, and 1 if this call appended it; or ! and an error.
--
-- This part handles next batches that need nothing more, as most do. It defines no functions: one would cost as much as a command.
-- The rest is left to append-rest.lua, behind log.lua, and so comes after all of these: channels have no order among each other.
local FIRST, PLACES = 4, 10
local instance, checkpoint = ARGV[1], ARGV[2]
local left
do
  local key, place, last = 1, FIRST, #ARGV
  while place < last do
    local mode = ARGV[place + 2]
    local offset, heard, added, fields
    if mode == 'n' or mode == 'r' then
      local head, count, list, epoch, newest = KEYS[key], ARGV[place + 4], ARGV[place + 5], ARGV[place + 6], ARGV[place + 7]
      -- One number shows if it is the next one, since it grows with each message of an epoch.
      offset = redis.pcall('HINCRBY', head, epoch, count)
      -- Publishing precedes every other write, since an ACL may forbid the channel.
      if offset == tonumber(newest) then heard = redis.pcall('PUBLISH', ARGV[place], ARGV[place + 9] .. list) end
      if type(heard) == 'number' then
        local log, oldest, id = KEYS[key + 1], ARGV[place + 8], newest .. '-' .. checkpoint
        if count == '1' then added = redis.pcall('XADD', log, 'NOMKSTREAM', 'MINID', '~', oldest, id, 'm', list)
        else added = redis.pcall('XADD', log, 'NOMKSTREAM', 'MINID', '~', oldest, id, 'm', list, 'n', count) end
      end
      if type(added) == 'string' then
        local batch = ARGV[place + 3] .. ' ' .. epoch .. ' ' .. newest .. ' ' .. checkpoint
        fields = redis.pcall('HSET', head, 'check', checkpoint, instance, batch)
      end
    end
    if mode ~= 'n' or fields ~= 0 then
      left = left or {}
      left[#left + 1] = { place, key, offset, heard, added, fields }
    end
    key = key + (mode == 'k' and 3 or 2)
    place = place + PLACES
  end
end
if not left then return '' end
