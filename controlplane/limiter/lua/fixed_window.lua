-- {kind, taken, reserved, start}: a window begins with the first charge after the one before it has ended.
-- A clock that is set back by more than a window begins a new one; by less, it makes the window longer.

local function turn(state, per)
  local age = now - state[4]
  if age >= per or age < -per or state[2] == 0 then
    state[2], state[3], state[4] = 0, 0, now
  end
end

local function fresh(taken)
  return {'F', taken, 0, now}
end

local function take(state, rule, amount)
  turn(state, rule[3])
  local taken = state[2] + amount
  if taken > rule[2] then return nil end
  state[2] = taken
  state[3] = state[3] + amount
  return 0
end

local function release(state, rule, held, kept, since)
  if since >= state[4] then
    state[2] = max(0, state[2] + kept - held)
    state[3] = max(0, state[3] - held)
  end
end

local function charge(state, rule, amount)
  turn(state, rule[3])
  state[2] = state[2] + amount
end

local function standing(state, rule)
  turn(state, rule[3])
  if state[2] == 0 then return 0, 0, 0 end
  return state[2] - state[3], state[3], state[4] + rule[3] - now
end

local function wait(state, rule, amount)
  if amount > rule[2] then return NEVER end
  local used, reserved, resets_in = standing(state, rule)
  if used + reserved + amount <= rule[2] then return 0 end
  return resets_in
end

local function lifetime(state, rule)
  return state[4] + 2 * rule[3] - now
end

return {rule = '>c1dd', fresh = fresh, take = take, release = release, charge = charge, standing = standing,
  wait = wait, lifetime = lifetime}
