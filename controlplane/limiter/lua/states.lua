-- The counters of this batch: each is read and written once, however many operations touch it. A counter's state is
-- an array: its kind, what is taken, and what its algorithm keeps besides.

local raws = {}
if #KEYS > FIRST_COUNTER then raws = call('MGET', unpack(KEYS, FIRST_COUNTER + 1)) end
local states, rules, algorithms, touched = {}, {}, {}, {}
local known = {}

-- A rule as the counters of one limit share it, with its algorithm. Only the algorithms in use are built.
local function read_rule(text)
  local kind = string.sub(text, 1, 1)
  local algorithm = known[kind] or build(kind)
  known[kind] = algorithm
  known[text] = {{unpack_figures(algorithm.rule, text)}, algorithm}
  return known[text]
end

-- What is stored of counter `i`, or nil; its rule and its algorithm are known from then on.
local function stored(i)
  local text = ARGV[FIRST_RULE + i]
  local rule = known[text] or read_rule(text)
  rules[i], algorithms[i] = rule[1], rule[2]
  if raws[i] then return {cmsgpack.unpack(raws[i])} end
end

-- The state of counter `i` when it is first needed. A limit that counts in another way than before keeps what was
-- used, unless amounts became slots or slots became amounts.
local function open(i)
  local state = stored(i)
  local kind = rules[i][1]
  if not state or state[1] ~= kind then
    local carried = 0
    if state and state[1] ~= 'L' and kind ~= 'L' then carried = state[2] end
    state = algorithms[i].fresh(carried)
  end
  states[i] = state
  return state
end

-- The state that has a reservation on it, or nil if it is forgotten or counts in another way by now.
local function reserved_on(i)
  if states[i] then return states[i] end
  local state = stored(i)
  if state and state[1] == rules[i][1] then
    states[i] = state
    return state
  end
end

local function save()
  for i in pairs(touched) do
    local state = states[i]
    local lifetime = max(1, min(1e12, math.ceil(1000 * algorithms[i].lifetime(state, rules[i]))))
    call('SET', KEYS[FIRST_COUNTER + i], cmsgpack.pack(unpack(state)), 'PX', lifetime)
  end
end
