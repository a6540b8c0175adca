-- Appends batches to the logs of channels and publishes them, each all or nothing, and once: a batch that is written again because
-- its answer was lost is known by its sequence, whichever of the two comes first.
-- KEYS: for each batch its head and log, and where it has an idempotency key what was published under that
-- ARGV: 1 fresh epoch, 2 how this instance is called in heads, 3 how long its last batch is remembered (ms), 4 how long an
--       idempotency key is (ms); then for each batch: channel, size, ttl (ms), epoch, offset and stamp of the newest entry that the
--       instance has seen, sequence, 'k' if it has an idempotency key, how many messages, the messages
-- Returns lines: the stamp of all of them, then for each batch the offset of its last one; or, where its epoch is not the one that
-- the instance has seen, epoch, offset, and 1 if this call appended it; or, where that failed, ! and why.
local at = now()

-- Instances come and go, and each leaves a field.
local function forgetInstances(head)
  local fields = redis.call('HGETALL', head)
  for index = 1, #fields, 2 do
    local stamp = string.match(fields[index + 1], '^%d+ %S+ %d+ (%d+)$')
    if stamp and at - tonumber(stamp) > tonumber(ARGV[3]) * 1000 then redis.call('HDEL', head, fields[index]) end
  end
end

local function appendBatch(head, log, once, place)
  local sequence = ARGV[place + 6]
  local epoch, offset, stamp, renewed, batch = openLog(head, log, ARGV[1], ARGV[2])
  if batch then
    local last, itsEpoch, itsOffset = string.match(batch, '^(%d+) (%S+) (%d+) ')
    if last and tonumber(last) >= tonumber(sequence) then return itsEpoch .. ' ' .. itsOffset .. ' 0' end
  end
  if once then
    local known = redis.call('GET', once)
    if known and string.find(known, '^%S+ %d+$') then return known .. ' 0' end
  end

  local seen = ARGV[place + 3]
  -- Otherwise offsets would be given twice.
  if forgot(log, epoch, offset, stamp, seen, ARGV[place + 4], ARGV[place + 5]) then
    epoch, offset, stamp, renewed = startEpoch(head, log, ARGV[1])
  end
  local size, ttl, count = tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2]), tonumber(ARGV[place + 8])
  local isNew
  offset, isNew = append(head, log, ARGV[place], epoch, offset, renewed, at, size, ttl, count, ARGV[place + 9], ARGV[2], sequence)
  if isNew then forgetInstances(head) end
  local last = string.format('%d', offset)
  if once then redis.call('SET', once, epoch .. ' ' .. last, 'PX', ARGV[4]) end
  if epoch == seen then return last end
  return epoch .. ' ' .. last .. ' 1'
end

local answers = { string.format('%d', at) }
local key = 1
local place = 5
while place <= #ARGV do
  local once = nil
  local keys = 2
  if ARGV[place + 7] == 'k' then
    once = KEYS[key + 2]
    keys = 3
  end
  local done, answer = pcall(appendBatch, KEYS[key], KEYS[key + 1], once, place)
  if not done then answer = '!' .. string.gsub(type(answer) == 'table' and answer.err or tostring(answer), '%c', ' ') end
  answers[#answers + 1] = answer
  key = key + keys
  place = place + 10
end
return table.concat(answers, '\n')
