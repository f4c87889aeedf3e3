-- u: a counter. Answers U, what is used, what is reserved, and the seconds until all of it has come back.
-- o: answers O and how many leases are open. Both answer D if leases must be ended first.

local function usage(blob)
  if leases_due() then return 'D' end
  local _, _, i = unpack_figures('>BBH', blob)
  local state = states[i] or open(i)
  return 'U' .. pack('>ddd', algorithms[i].standing(state, rules[i]))
end

local function count_open()
  if leases_due() then return 'D' end
  call('EXPIRE', KEYS[1], 8 * 86400)  -- all processes ask for this from time to time: nothing stays for ever
  return 'O' .. call('ZCARD', KEYS[1])
end
