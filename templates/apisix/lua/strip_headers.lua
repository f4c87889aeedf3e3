return function(conf, ctx)
  local core = require('apisix.core')
  for name in pairs(ngx.req.get_headers(0, true)) do
    local plain = name:lower():gsub('_', '-')
    if plain:sub(1, 9) == 'x-sluice-' then core.request.set_header(ctx, name, nil) end
  end
end
