-- {kind, taken, begin, taken, reserved, begin, taken, reserved, …}: slots from the oldest, each a thirtieth of the
-- window long. What was taken comes back when its whole slot has left the window: never early, at most a slot late.

local SLOTS = 30

local function returns_at(begin, per)
  return begin + per + per / SLOTS
end

local function drop(state, per)
  local size, first = #state, 3
  while first < size and (returns_at(state[first], per) <= now or state[first] > now + per) do
    state[2] = state[2] - state[first + 1]
    first = first + 3
  end
  if first > 3 then
    for i = 3, size do state[i] = state[i + first - 3] end
  end
end

local function add(state, per, amount, reserved)
  local size = #state
  if size == 2 or state[size - 2] + per / SLOTS <= now then
    state[size + 1], state[size + 2], state[size + 3] = now, 0, 0
    size = size + 3
  end
  state[2] = state[2] + amount
  state[size - 1] = state[size - 1] + amount
  state[size] = state[size] + reserved
end

local function fresh(taken)
  if taken == 0 then return {'S', 0} end
  return {'S', taken, now, taken, 0}
end

local function take(state, rule, amount)
  drop(state, rule[3])
  if state[2] + amount > rule[2] then return nil end
  if amount > 0 then add(state, rule[3], amount, amount) end
  return 0
end

local function release(state, rule, held, kept, since)
  if held == 0 then return end
  local size = #state
  for i = size - 2, 3, -3 do
    if state[i] <= since then
      state[2] = state[2] + kept - held
      state[i + 1] = state[i + 1] + kept - held
      state[i + 2] = state[i + 2] - held
      if state[i + 1] == 0 and i == size - 2 then
        state[i], state[i + 1], state[i + 2] = nil, nil, nil
      end
      return
    end
  end
end

local function charge(state, rule, amount)
  drop(state, rule[3])
  add(state, rule[3], amount, 0)
end

local function standing(state, rule)
  drop(state, rule[3])
  local size, reserved = #state, 0
  if state[2] == 0 then return 0, 0, 0 end
  for i = 5, size, 3 do reserved = reserved + state[i] end
  return state[2] - reserved, reserved, returns_at(state[size - 2], rule[3]) - now
end

local function wait(state, rule, amount)
  if amount > rule[2] then return NEVER end
  drop(state, rule[3])
  local excess = state[2] + amount - rule[2]
  if excess <= 0 then return 0 end
  for i = 3, #state, 3 do
    excess = excess - state[i + 1]
    if excess <= 0 then return returns_at(state[i], rule[3]) - now end
  end
  return NEVER
end

local function lifetime(state, rule)
  return 3 * rule[3]
end

return {rule = '>c1dd', fresh = fresh, take = take, release = release, charge = charge, standing = standing,
  wait = wait, lifetime = lifetime}
