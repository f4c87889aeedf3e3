-- {kind, taken, reserved, stamp, poured}: what was taken drains in the order in which it came. `poured` counts all
-- that was ever taken, so `poured - taken` is how far it has drained; a reservation gets back only what has not.

local function drain(state, rate)
  if now > state[4] then state[2] = max(0, state[2] - (now - state[4]) * rate) end
  state[4] = now
end

local function fresh(taken)
  return {'B', taken, 0, now, taken}
end

local function take(state, rule, amount)
  drain(state, rule[3])
  local taken = state[2] + amount
  if taken > rule[2] then return nil end
  state[2] = taken
  state[3] = state[3] + amount
  state[5] = state[5] + amount
  return state[5]
end

local function release(state, rule, held, kept, since, mark)
  drain(state, rule[3])
  local undrained = min(mark - (state[5] - state[2]), held)
  if undrained > 0 then
    local returned = min(held - kept, undrained)
    state[2] = state[2] - returned
    if mark == state[5] then state[5] = state[5] - returned end
  end
  state[3] = max(0, state[3] - held)
end

local function charge(state, rule, amount)
  drain(state, rule[3])
  state[2] = state[2] + amount
  state[5] = state[5] + amount
end

local function standing(state, rule)
  drain(state, rule[3])
  local reserved = min(state[3], state[2])
  return state[2] - reserved, reserved, state[2] / rule[3]
end

local function wait(state, rule, amount)
  if amount > rule[2] then return NEVER end
  drain(state, rule[3])
  return max(0, (state[2] + amount - rule[2]) / rule[3])
end

local function lifetime(state, rule)
  return 2 * state[2] / rule[3] + 86400
end

return {rule = '>c1dd', fresh = fresh, take = take, release = release, charge = charge, standing = standing,
  wait = wait, lifetime = lifetime}
