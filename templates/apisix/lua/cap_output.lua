local function asked_on(address, queue)
  if address:sub(-13) == '/v1/responses' then return queue.responses end
  if address:sub(-12) == '/v1/messages' then return queue.messages end
  return address:sub(-14) ~= '/v1/embeddings' and queue.chat or nil
end

local function is_less(body, asked, cap)
  for _, names in ipairs(asked.needed) do
    local said = false
    for _, name in ipairs(names) do said = said or body[name] ~= nil end
    if not said then return false end
  end
  for _, name in ipairs(asked.fields) do
    if body[name] ~= nil and not ((tonumber(body[name]) or math.huge) < cap + 1) then return false end
  end
  return true
end

return function(conf, ctx)
  local core = require('apisix.core')
  local caps = conf.caps
  local route = caps.routes[ctx.var.route_id]
  local asked = route and asked_on(ctx.var.uri, route)
  if not asked then return end
  local body = core.request.get_json_request_body_table(caps.largest_body)
  -- What cannot be read is refused by the plugin that proxies it.
  if type(body) ~= 'table' or is_less(body, asked, caps.cap) then return end
  for _, name in ipairs(asked.fields) do body[name] = nil end
  if asked.sets then body[asked.sets] = caps.cap end
  ngx.req.set_body_data(core.json.encode(body))
end
