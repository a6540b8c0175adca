-- Reads what is kept of a channel, and keeps its head alive.
-- KEYS: 1 head, 2 log
-- ARGV: 1 fresh epoch, 2 size, 3 limit, then, to begin after a position, 4 its epoch, 5 its offset, 6 the stamp that was seen
--       there or ''; without them the last ones are read
-- Returns epoch, offset and stamp of the newest entry, 1 if all after the position is kept, the entries.
local epoch, offset, stamp = openLog(KEYS[1], KEYS[2], ARGV[1])
local since = tonumber(ARGV[5])

-- A counter behind what was seen, or another entry in its place: the server has forgotten, and positions mean nothing any more.
if ARGV[6] and ARGV[6] ~= '' and ARGV[4] == epoch then
  local seen = ARGV[6]
  local forgot = offset < since
  if offset == since then
    forgot = stamp ~= seen
  elseif not forgot then
    local entry = redis.call('XRANGE', KEYS[2], ARGV[5], ARGV[5], 'COUNT', 1)[1]
    forgot = entry ~= nil and string.match(entry[1], '%d+$') ~= seen
  end
  if forgot then epoch, offset, stamp = startEpoch(KEYS[1], KEYS[2], ARGV[1]) end
end
redis.call('PEXPIRE', KEYS[1], HEAD_TTL)

-- Trimming is approximate, and another instance may keep more: no more than size counts.
local from = math.max(1, offset - tonumber(ARGV[2]) + 1)
local resumed = 0
if not since then
  from = math.max(from, offset - tonumber(ARGV[3]) + 1)
elseif ARGV[4] == epoch and since <= offset then
  local oldest = redis.call('XRANGE', KEYS[2], string.format('%.0f', from), '+', 'COUNT', 1)[1]
  local first = oldest and tonumber(string.match(oldest[1], '^%d+')) or offset + 1
  if since >= first - 1 then
    resumed = 1
    from = since + 1
  end
end
local entries = redis.call('XRANGE', KEYS[2], string.format('%.0f', from), '+', 'COUNT', ARGV[3])
return { epoch, string.format('%.0f', offset), stamp, resumed, entries }
