-- {kind, taken}: slots that are held. Kept longer than any lease, since a slot that is forgotten is never freed.

local function fresh()
  return {'L', 0}
end

local function take(state, rule, amount)
  local taken = state[2] + amount
  if taken > rule[2] then return nil end
  state[2] = taken
  return 0
end

local function release(state, rule, held)
  state[2] = max(0, state[2] - held)
end

local function charge() end

local function standing(state)
  return 0, state[2], 0
end

local function wait(state, rule, amount)
  if amount > rule[2] then return NEVER end
  if state[2] + amount <= rule[2] then return 0 end
  return 1
end

local function lifetime()
  return 7 * 86400
end

return {rule = '>c1d', fresh = fresh, take = take, release = release, charge = charge, standing = standing,
  wait = wait, lifetime = lifetime}
