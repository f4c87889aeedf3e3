-- Builds the world that a serverless function sees: a safe part of Lua's library, and what APISIX and OpenResty
-- offer to it. `host` holds the gateway's own functions; user code never gets hold of it.
local host, instructions, seconds = ...

local base = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, select = select,
  setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
  rawget = rawget, rawequal = rawequal, _VERSION = _VERSION,
}
local function copy(library, without)
  local result = {}
  for name, value in pairs(library) do
    if not (without and without[name]) then result[name] = value end
  end
  return result
end

-- A pattern is one instruction, however long it takes. What it could take at worst is known beforehand: its
-- repetitions share the text in every way that there is.
local MOST_STEPS, MOST_PATTERNS = 2e8, 256
local substitute, cut = string.gsub, string.sub
local known, known_count = {}, 0

-- How many repetitions a pattern has; remembered, because functions use the same few again and again.
local function repetitions_in(pattern)
  local found = known[pattern]
  if found then return found end
  local plain = substitute(substitute(pattern, '%%.', 'x'), '%[%]?[^%]]*%]', 'x')
  local _, repetitions = substitute(plain, '[%*%+%-]', '')
  if cut(plain, 1, 1) ~= '^' then repetitions = repetitions + 1 end
  if known_count >= MOST_PATTERNS then known, known_count = {}, 0 end
  known[pattern], known_count = repetitions, known_count + 1
  return repetitions
end

local function affordable(text, pattern)
  local length, steps = #tostring(text), 1
  for i = 1, repetitions_in(tostring(pattern)) do steps = steps * (length + i) / i end
  if steps > MOST_STEPS then error('the pattern could take too long', 3) end
end
local function guarded(run)
  return function(text, pattern, ...)
    affordable(text, pattern)
    return run(text, pattern, ...)
  end
end
local find = guarded(string.find)
local strings = copy(string, { dump = true })
strings.find = function(text, pattern, init, plain, ...)
  if plain then return string.find(text, pattern, init, plain) end
  return find(text, pattern, init, plain, ...)
end
for _, name in ipairs({ 'match', 'gmatch', 'gsub' }) do strings[name] = guarded(string[name]) end
-- What a text's own methods are, as in text:match(...).
getmetatable('').__index = strings

local EXIT = {}
local output
-- What is said goes out with the status that the answer has by then; a later one comes too late.
local said_with
local argument = {}

local function exit(code, body)
  if body ~= nil then output[#output + 1] = body end
  error({ [EXIT] = true, code = code }, 0)
end

local function say(...)
  if said_with == nil then said_with = host.status() end
  for _, text in ipairs({ ... }) do output[#output + 1] = text end
end

local function reader(get)
  return setmetatable({}, { __index = function(_, name) return get(name) end, __newindex = function() end })
end

-- A table of headers: found by any spelling of a name, listed in lower case.
local function header_table(fields)
  return setmetatable(fields, { __index = function(_, name)
    if type(name) ~= 'string' then return nil end
    return rawget(fields, (name:gsub('_', '-'):lower()))
  end })
end

local var = setmetatable({}, {
  __index = function(_, name) return host.variable(name) end,
  __newindex = function(_, name, value) host.set_variable(name, value) end,
})
local function request_headers() return header_table(host.request_headers()) end
local function response_headers() return header_table(host.response_headers()) end
local function log() end

-- A body that is JSON, as it is: its fields are read and set one by one.
local NULL = {}
local body = setmetatable({}, {
  __index = function(_, name)
    local there, value = host.body_field(name)
    if there and value == nil then return NULL end
    return value
  end,
  __newindex = function(_, name, value) host.set_body_field(name, value) end,
})

local ngx = setmetatable({
  var = var, null = host.null,
  OK = 0, ERROR = -1, DECLINED = -5, HTTP_OK = 200, HTTP_BAD_REQUEST = 400, HTTP_UNAUTHORIZED = 401,
  HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404, HTTP_TOO_MANY_REQUESTS = 429,
  HTTP_INTERNAL_SERVER_ERROR = 500, HTTP_SERVICE_UNAVAILABLE = 503,
  DEBUG = 8, INFO = 7, NOTICE = 6, WARN = 5, ERR = 4,
  now = host.now,
  time = function() return math.floor(host.now()) end,
  log = function(level, ...) host.log(tostring(level), ...) end,
  exit = exit,
  say = function(...) say(...) output[#output + 1] = '\n' end,
  print = function(...) say(...) end,
  header = setmetatable({}, {
    __index = function(_, name) return host.response_header(name) end,
    __newindex = function(_, name, value) host.set_response_header(name, value) end,
  }),
  req = {
    get_headers = request_headers,
    get_method = function() return host.variable('request_method') end,
    get_uri_args = host.arguments,
    set_header = function(name, value) host.set_request_header(name, value) end,
    clear_header = function(name) host.set_request_header(name, nil) end,
    get_body_data = function() return host.variable('request_body') end,
    read_body = function() end,
    set_body_data = host.set_body_text,
  },
  resp = {
    get_headers = response_headers,
    add_header = function(name, value) host.add_response_header(name, value) end,
  },
}, {
  __index = function(_, name)
    if name == 'status' then return host.status() end
    if name == 'arg' then return argument end
  end,
  __newindex = function(_, name, value)
    if name == 'status' then host.set_status(value) end
  end,
})

local levels = {}
for _, level in ipairs({ 'emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug' }) do
  levels[level] = function(...) host.log(level, ...) end
end

local core = {
  log = levels,
  request = {
    header = function(_, name) return host.request_header(name) end,
    headers = request_headers,
    set_header = function(_, name, value) host.set_request_header(name, value) end,
    add_header = function(_, name, value) host.add_request_header(name, value) end,
    get_method = function() return host.variable('request_method') end,
    get_uri_args = host.arguments,
    get_ip = function() return host.variable('remote_addr') end,
    get_remote_client_ip = function() return host.variable('remote_addr') end,
    get_host = function() return host.variable('host') end,
    get_body = function() return host.variable('request_body') end,
    get_json_request_body_table = function(most)
      local problem = host.body_problem(most)
      if problem then return nil, { message = problem } end
      return body
    end,
  },
  response = {
    set_header = function(...)
      local given = { ... }
      for index = 1, select('#', ...), 2 do host.set_response_header(given[index], given[index + 1]) end
    end,
    add_header = function(name, value) host.add_response_header(name, value) end,
    exit = exit,
  },
  json = {
    encode = function(value)
      if rawequal(value, body) then return host.body_text() end
      return host.encode(value)
    end,
    decode = host.decode,
  },
  utils = { resolve_var = function(text) return host.resolve(text) end },
  string = { has_prefix = function(text, prefix) return text:sub(1, #prefix) == prefix end },
  table = { insert = table.insert, concat = table.concat, remove = table.remove, sort = table.sort },
}
core.ctx = { var = var }

local modules = { ['apisix.core'] = core, ['cjson'] = core.json, ['cjson.safe'] = core.json }

local function environment()
  local env = copy(base)
  env.string = copy(strings)
  env.table = copy(table)
  env.math = copy(math)
  env.bit = copy(bit)
  env.os = { time = os.time, date = os.date, clock = os.clock }
  env.ngx = ngx
  env.print = log
  env.require = function(name)
    local module = modules[name]
    if module == nil then error("module '" .. tostring(name) .. "' is not available here", 2) end
    return module
  end
  env._G = env
  return env
end

-- Once the instructions or the time are used up every further instruction is an error, so that a pcall cannot
-- go on; until it is our own functions that run again.
local STEP = 100
local clock = os.clock
local left, deadline = 0, 0

local ours = {}

local function stop()
  if ours[debug.getinfo(2, 'f').func] then return debug.sethook() end
  debug.sethook(stop, '', 1)
  error('it takes too long', 2)
end

local function tick()
  left = left - STEP
  if left <= 0 or clock() > deadline then stop() end
end

local function bounded(run, ...)
  left, deadline = instructions, clock() + seconds
  debug.sethook(tick, '', STEP)
  return run(...)
end

local function finish(ok, ...)
  debug.sethook()
  return ok, ...
end

-- Runs something within the bounds: whether it went well, and what it returned or what went wrong.
local function run_bounded(run, ...)
  return finish(pcall(bounded, run, ...))
end
ours[finish], ours[run_bounded] = true, true

-- What went wrong as text; a table's own idea of that would run without bounds.
local function reason(problem)
  return type(problem) == 'table' and 'a table was raised as an error' or tostring(problem)
end

local context_mt = { __index = function(_, name)
  if name == 'var' then return var end
  return host.field(name)
end }

return {
  -- A function from its text: the function, or nil and what is wrong.
  compile = function(text)
    local chunk, problem = load(text, text, 't')
    if not chunk then return nil, 'failed to loadstring: ' .. problem end
    setfenv(chunk, environment())
    local ok, result = run_bounded(chunk)
    if not ok then return nil, 'pcall error: ' .. reason(result) end
    if type(result) ~= 'function' then
      return nil, 'only accept Lua function, the input code type is ' .. type(result)
    end
    return result
  end,
  -- What a body filter sees and changes as ngx.arg.
  set_argument = function(data, last) argument[1], argument[2] = data, last end,
  argument = function() return argument[1] end,
  context = function() return setmetatable({}, context_mt) end,
  -- Runs a function: whether it went well, then its status and body, or what went wrong.
  call = function(run, conf, context)
    output, said_with = {}, nil
    local ok, code, body = run_bounded(run, conf, context)
    if ok then return true, code, body end
    if type(code) == 'table' and rawget(code, EXIT) then
      local status = code.code
      if said_with ~= nil then status = said_with ~= 0 and said_with or 200 end
      if #output <= 1 then return true, status, output[1] end
      return true, status, table.concat(output)
    end
    return false, reason(code)
  end,
}
