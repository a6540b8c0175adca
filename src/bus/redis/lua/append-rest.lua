-- Handles the batches that append-next.lua left, which describes KEYS and ARGV: batches that need a look at the log, that were not the
-- next ones or could not be appended, that began something, or that have times to live to renew.

-- So many instances are remembered whatever their age.
local INSTANCES = 32
local fresh, lastTtl, onceTtl = string.match(ARGV[3], '^(%S+) (%d+) (%d+)$')

-- Instances come and go, and each leaves a field.
local function forgetInstances(head)
  local fields = redis.call('HGETALL', head)
  if #fields <= 2 * INSTANCES then return end
  for index = 1, #fields, 2 do
    local seen = string.match(fields[index + 1], '^%d+ %S+ %d+ (%d+)$')
    if seen and tonumber(checkpoint) - tonumber(seen) > tonumber(lastTtl) * 1000 then redis.call('HDEL', head, fields[index]) end
  end
end

-- Remembers a batch, to recognise it when it comes again.
local function remember(head, sequence, epoch, newest)
  local batch = sequence .. ' ' .. epoch .. ' ' .. newest .. ' ' .. checkpoint
  if redis.call('HSET', head, 'check', checkpoint, instance, batch) > 0 then forgetInstances(head) end
end

local function ttlOf(place)
  return string.match(ARGV[place + 1], '%d+$')
end

-- Takes an attempt back. A counter that returns to 0 was made by the attempt, in a head of another epoch: the first message of an epoch
-- is never attempted as the next one.
local function undo(head, place)
  local epoch = ARGV[place + 6]
  if redis.call('HINCRBY', head, epoch, -ARGV[place + 4]) == 0 then redis.call('HDEL', head, epoch) end
end

-- Completes a next batch. Returns false if it was not the next one.
local function finishNext(head, log, place, offset, heard, added, fields)
  local count, epoch, newest = tonumber(ARGV[place + 4]), ARGV[place + 6], ARGV[place + 7]
  if type(offset) == 'table' then error(offset.err, 0) end
  if type(heard) ~= 'number' then
    undo(head, place)
    if not heard then return false end
    error(heard.err, 0)
  end
  local anew = type(added) ~= 'string'
  if anew then
    local done, why = pcall(begin, added, log, newest .. '-' .. checkpoint, count, ARGV[place + 5])
    if not done then
      undo(head, place)
      error(why, 0)
    end
    remember(head, ARGV[place + 3], epoch, newest)
  elseif type(fields) == 'table' then
    error(fields.err, 0)
  elseif fields > 0 then
    forgetInstances(head)
  end
  if anew or ARGV[place + 2] == 'r' then
    redis.call('PEXPIRE', head, HEAD_TTL)
    redis.call('PEXPIRE', log, ttlOf(place))
  end
  return true
end

local function appendAfterLook(head, log, once, place, seenCheckpoint)
  local sequence, count = ARGV[place + 3], tonumber(ARGV[place + 4])
  local epoch, offset, newest, batch = openLog(head, log, fresh, instance)
  if batch then
    local last, itsEpoch, itsOffset = string.match(batch, '^(%d+) (%S+) (%d+) ')
    if last and tonumber(last) >= tonumber(sequence) then return itsEpoch .. ' ' .. itsOffset .. ' 0' end
  end
  if once then
    local known = redis.call('GET', once)
    if known and string.find(known, '^%S+ %d+$') then return known .. ' 0' end
  end
  -- Otherwise offsets would be given twice.
  if forgot(log, epoch, offset, newest, ARGV[place + 6], ARGV[place + 7] - count, seenCheckpoint) then
    epoch, offset = startAgain(head, log, fresh, epoch, seenCheckpoint)
  end
  local size = tonumber(string.match(ARGV[place + 1], '^%d+'))
  local last = appendTo(head, log, ARGV[place], epoch, offset, checkpoint, size, ttlOf(place), count, ARGV[place + 5])
  remember(head, sequence, epoch, last)
  if once then redis.call('SET', once, epoch .. ' ' .. last, 'PX', onceTtl) end
  return epoch .. ' ' .. last .. ' 1'
end

local function finish(place, key, ...)
  local mode, head, log = ARGV[place + 2], KEYS[key], KEYS[key + 1]
  if mode == 's' or mode == 'k' then return appendAfterLook(head, log, mode == 'k' and KEYS[key + 2], place, ARGV[place + 8]) end
  if finishNext(head, log, place, ...) then return '' end
  return appendAfterLook(head, log, false, place, '')
end

local answers = {}
for index = 1, (#ARGV - FIRST + 1) / PLACES do answers[index] = '' end
for _, batch in ipairs(left) do
  local done, answer = pcall(finish, unpack(batch, 1, 6))
  if not done then answer = '!' .. string.gsub(type(answer) == 'table' and answer.err or tostring(answer), '%c', ' ') end
  answers[(batch[1] - FIRST) / PLACES + 1] = answer
end
return table.concat(answers, '\n')
