-- Appends batches to the logs of channels and publishes them, each all or nothing, and once: a batch that is written again because
-- its answer was lost is known by its sequence, whichever of the two comes first.
-- KEYS: for each batch its head and log, and where it has an idempotency key what was published under that
-- ARGV: 1 how this instance is called in heads, 2 the checkpoint of these batches, 3 a fresh epoch, how long the last batches of others are
--       remembered and how long an idempotency key is (both ms), with spaces between; then for each batch: channel, size and ttl (ms)
--       with a space between, how it is appended, sequence, how many messages, the messages; epoch of what the instance has seen of
--       the log, the offset of the last message if it follows that; then, to append it as the next batch, the offset of the oldest
--       message to keep (one more than is replayed, see log.lua) and the header of the frame, or else the checkpoint of what was seen, if that is in doubt, and nothing.
--       How: 'n' as the next batch, 'r' as the next batch and the times to live are renewed, 's' after a look at the log, 'k' the
--       same under an idempotency key.
-- Returns nothing where all were the next ones. Else a line for each batch: nothing where it was the next one; or epoch, offset of its
-- last message, and 1 if this call appended it; or, where that failed, ! and why.
--
-- This part is for the next batches with which nothing more has to be done, as it mostly is, and makes no function: one would cost as
-- much as a command. What is left is for append-rest.lua, behind log.lua, and so comes after all of these: channels have no order
-- among each other.
local FIRST, PLACES = 4, 10
local instance, checkpoint = ARGV[1], ARGV[2]
local left
do
  local key, place, last = 1, FIRST, #ARGV
  while place < last do
    local how = ARGV[place + 2]
    local offset, heard, added, fields
    if how == 'n' or how == 'r' then
      local head, count, list, epoch, newest = KEYS[key], ARGV[place + 4], ARGV[place + 5], ARGV[place + 6], ARGV[place + 7]
      -- One number tells whether it is the next one, since it grows with each message of an epoch.
      offset = redis.pcall('HINCRBY', head, epoch, count)
      -- Publishing comes before all that stays, since a channel may be forbidden.
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
    if how ~= 'n' or fields ~= 0 then
      left = left or {}
      left[#left + 1] = { place, key, offset, heard, added, fields }
    end
    key = key + (how == 'k' and 3 or 2)
    place = place + PLACES
  end
end
if not left then return '' end
