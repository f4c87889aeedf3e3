local credentials = {}
for _, name in ipairs({
  'authorization', 'x-api-key', 'api-key', 'apikey', 'x-goog-api-key', 'proxy-authorization', 'cookie',
}) do credentials[name] = true end
return function(conf, ctx)
  local core = require('apisix.core')
  for name in pairs(ngx.req.get_headers(0, true)) do
    local lower = name:lower()
    local plain = lower:gsub('_', '-')
    local odd = plain ~= lower and credentials[plain]
    if odd or plain:sub(1, 9) == 'x-sluice-' then core.request.set_header(ctx, name, nil) end
  end
end
