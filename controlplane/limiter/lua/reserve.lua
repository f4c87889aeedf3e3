-- r: lease, whether to report, and for each charge its counter and amount; the text is the reservation's record.
-- Answers G and the marks of its buckets, then the standings if wanted · R and why · D if leases must be ended first
-- · T if it is too late: this server hung or was cut off, and whoever asked has left.

local granted = {}
local due

local function leases_due()
  if not due then due = call('ZRANGEBYSCORE', KEYS[1], '-inf', now_text, 'LIMIT', 0, 100) end
  return #due > 0
end

local function refusals(figures, count)
  local answer, asked = {'R'}, {}
  for j = 1, count do
    local i = figures[3 + 2 * j]
    local state = states[i] or open(i)
    asked[i] = (asked[i] or 0) + figures[4 + 2 * j]
    local wait = algorithms[i].wait(state, rules[i], asked[i])
    if wait ~= 0 then
      local used, reserved = algorithms[i].standing(state, rules[i])
      answer[#answer + 1] = pack('>Hddd', j - 1, used, reserved, wait)
    end
  end
  return table.concat(answer)
end

local function standings(figures, count)
  local answer = {'\n'}
  for j = 1, count do
    local i = figures[3 + 2 * j]
    answer[j + 1] = pack('>ddd', algorithms[i].standing(states[i], rules[i]))
  end
  return table.concat(answer)
end

local function reserve(blob, record)
  if too_late then return 'T' end
  local count = byte(blob, 2)
  local figures = {unpack_figures('>BBdB' .. string.rep('Hd', count), blob)}
  local marks, marks_text = {}, ''
  for j = 1, count do
    local i, amount = figures[3 + 2 * j], figures[4 + 2 * j]
    local state = states[i] or open(i)
    marks[j] = algorithms[i].take(state, rules[i], amount)
    if not marks[j] then
      for k = j - 1, 1, -1 do
        i = figures[3 + 2 * k]
        algorithms[i].release(states[i], rules[i], figures[4 + 2 * k], 0, now, marks[k])
      end
      if leases_due() then return 'D' end
      return refusals(figures, count)
    end
    if rules[i][1] == 'B' then marks_text = marks_text .. ' ' .. string.format('%.17g', marks[j]) end
  end
  for j = 1, count do touched[figures[3 + 2 * j]] = true end
  granted[#granted + 1] = string.format('%.17g', now + figures[3])
  granted[#granted + 1] = record .. '|' .. now_text .. marks_text
  if figures[4] == 0 then return 'G' .. marks_text end
  return 'G' .. marks_text .. standings(figures, count)
end

local function save_granted()
  if #granted > 0 then call('ZADD', KEYS[1], unpack(granted)) end
end
