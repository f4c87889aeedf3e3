-- {kind, taken, reserved, start}: a day, a week or a month. Redis knows no time zones: the rule carries the edges
-- of three windows around the present, and the server's clock picks the one that goes on. Edges that do not hold the
-- present come from a process that has yet to learn what time it is here; they change nothing.

local function turn(state, rule)
  if now < rule[3] or now >= rule[6] then return now + 1 end
  local edge = 3
  while edge < 5 and now >= rule[edge + 1] do edge = edge + 1 end
  if state[4] < rule[edge] or state[4] >= rule[edge + 1] then
    state[2], state[3], state[4] = 0, 0, rule[edge]
  end
  return rule[edge + 1]
end

local function fresh(taken)
  return {'C', taken, 0, now}
end

local function take(state, rule, amount)
  turn(state, rule)
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
  turn(state, rule)
  state[2] = state[2] + amount
end

local function standing(state, rule)
  local ends = turn(state, rule)
  return state[2] - state[3], state[3], ends - now
end

local function wait(state, rule, amount)
  if amount > rule[2] then return NEVER end
  local used, reserved, resets_in = standing(state, rule)
  if used + reserved + amount <= rule[2] then return 0 end
  return resets_in
end

local function lifetime(state, rule)
  return max(86400, rule[6] - now)
end

return {rule = '>c1ddddd', fresh = fresh, take = take, release = release, charge = charge, standing = standing,
  wait = wait, lifetime = lifetime}
