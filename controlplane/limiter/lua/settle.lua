-- s settles, c cancels, x ends a lease that is over: when it was reserved, and for each charge its counter, what was
-- held, what was used, and the mark of a bucket; the text is the member of the open leases.
-- Answers K if done · L if the lease had ended · N if it was closed before, or (x) still goes on.

local SETTLE, END = byte('s'), byte('x')

local function release(figures, count)
  for j = 4, 4 * count, 4 do
    local i, held, used = figures[j], figures[j + 1], figures[j + 2]
    local state = reserved_on(i)
    if state then
      algorithms[i].release(state, rules[i], held, min(held, used), figures[3], figures[j + 3])
      if used > held then algorithms[i].charge(state, rules[i], used - held) end
      touched[i] = true
    end
  end
end

local function charge_late(figures, count)
  for j = 4, 4 * count, 4 do
    local i = figures[j]
    if reserved_on(i) or not raws[i] then
      algorithms[i].charge(states[i] or open(i), rules[i], figures[j + 2])
      touched[i] = true
    end
  end
end

-- Take the member out of the open leases if its lease is over, and remember that nobody has settled it.
local function lease_ended(member)
  local ends = call('ZSCORE', KEYS[1], member)
  if not ends or tonumber(ends) > now then return false end
  call('ZADD', KEYS[2], now_text, member)
  call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 86400)
  call('EXPIRE', KEYS[2], 2 * 86400)
  due = nil
  return true
end

local function settle(blob, member)
  local verb, count = byte(blob, 1, 2)
  local figures = {unpack_figures('>BBd' .. string.rep('Hddd', count), blob)}
  if verb == END and not lease_ended(member) then return 'N' end
  if call('ZREM', KEYS[1], member) == 1 then
    release(figures, count)
    return 'K'
  end
  if call('ZREM', KEYS[2], member) == 1 then
    if verb == SETTLE then charge_late(figures, count) end
    return 'L'
  end
  return 'N'
end
