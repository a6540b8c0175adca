-- Appends batches to the logs of channels and publishes them, each all or nothing, and once: a batch that is written again because
-- its answer was lost is known by its sequence, whichever of the two comes first.
-- KEYS: for each batch its head and log, and where it has an idempotency key what was published under that
-- ARGV: 1 fresh epoch, 2 how this instance is called in heads, 3 the stamp of these batches, 4 how long the last batches of others are
--       remembered (ms), 5 how long an idempotency key is (ms); then for each batch: channel, size, ttl (ms), how it is appended,
--       sequence, how many messages, the messages; epoch of what the instance has seen of the log, the offset of the last message if it
--       follows that, the stamp of what was seen, if that is in doubt; and, to append it as the next batch, the offset of the oldest
--       message to keep and the header of the frame.
--       How: 'n' as the next batch, 'r' as the next batch and the times to live are renewed, 's' after a look at the log, 'k' the
--       same under an idempotency key.
-- Returns a line for each batch: nothing where it was the next one; else epoch, offset of its last message, and 1 if this call
-- appended it; or, where that failed, ! and why.

-- How many may be remembered whatever their age.
local INSTANCES = 32
local stamp = ARGV[3]

-- Instances come and go, and each leaves a field.
local function forgetInstances(head)
  local fields = redis.call('HGETALL', head)
  if #fields <= 2 * INSTANCES then return end
  for index = 1, #fields, 2 do
    local seen = string.match(fields[index + 1], '^%d+ %S+ %d+ (%d+)$')
    if seen and tonumber(stamp) - tonumber(seen) > tonumber(ARGV[4]) * 1000 then redis.call('HDEL', head, fields[index]) end
  end
end

-- What is looked for where a batch comes again.
local function remember(head, sequence, epoch, last)
  local batch = sequence .. ' ' .. epoch .. ' ' .. last .. ' ' .. stamp
  if redis.call('HSET', head, 'stamp', stamp, ARGV[2], batch) > 0 then forgetInstances(head) end
end

-- Whether it was the next batch: one number tells, since it grows with each message of an epoch.
local function appendNext(head, log, place)
  local count, epoch, last = ARGV[place + 5], ARGV[place + 7], ARGV[place + 8]
  if redis.call('HINCRBY', head, epoch, count) ~= tonumber(last) then
    if redis.call('HINCRBY', head, epoch, -count) == 0 then redis.call('HDEL', head, epoch) end
    return false
  end
  local id = last .. '-' .. stamp
  local done, anew = pcall(append, log, ARGV[place], ARGV[place + 11], ARGV[place + 6], ARGV[place + 10], id, count)
  if not done then
    redis.call('HINCRBY', head, epoch, -count)
    error(anew, 0)
  end
  remember(head, ARGV[place + 4], epoch, last)
  if anew or ARGV[place + 3] == 'r' then
    redis.call('PEXPIRE', head, HEAD_TTL)
    redis.call('PEXPIRE', log, ARGV[place + 2])
  end
  return true
end

local function appendAfterLook(head, log, once, place)
  local sequence, count = ARGV[place + 4], tonumber(ARGV[place + 5])
  local epoch, offset, newest, batch = openLog(head, log, ARGV[1], ARGV[2])
  if batch then
    local last, itsEpoch, itsOffset = string.match(batch, '^(%d+) (%S+) (%d+) ')
    if last and tonumber(last) >= tonumber(sequence) then return itsEpoch .. ' ' .. itsOffset .. ' 0' end
  end
  if once then
    local known = redis.call('GET', once)
    if known and string.find(known, '^%S+ %d+$') then return known .. ' 0' end
  end
  -- Otherwise offsets would be given twice.
  if forgot(log, epoch, offset, newest, ARGV[place + 7], ARGV[place + 8] - count, ARGV[place + 9]) then
    epoch, offset = startEpoch(head, log, ARGV[1], epoch)
  end
  local last = appendTo(head, log, ARGV[place], epoch, offset, stamp, ARGV[place + 1], ARGV[place + 2], count, ARGV[place + 6])
  remember(head, sequence, epoch, last)
  if once then redis.call('SET', once, epoch .. ' ' .. last, 'PX', ARGV[5]) end
  return epoch .. ' ' .. last .. ' 1'
end

local function appendBatch(head, log, once, place)
  local how = ARGV[place + 3]
  if (how == 'n' or how == 'r') and appendNext(head, log, place) then return '' end
  return appendAfterLook(head, log, once, place)
end

local answers = {}
local key = 1
local place = 6
while place <= #ARGV do
  local once = nil
  local keys = 2
  if ARGV[place + 3] == 'k' then
    once = KEYS[key + 2]
    keys = 3
  end
  local done, answer = pcall(appendBatch, KEYS[key], KEYS[key + 1], once, place)
  if not done then answer = '!' .. string.gsub(type(answer) == 'table' and answer.err or tostring(answer), '%c', ' ') end
  answers[#answers + 1] = answer
  key = key + keys
  place = place + 12
end
return table.concat(answers, '\n')
