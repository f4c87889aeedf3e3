return function(conf, ctx)
  local core = require('apisix.core')
  for name, value in pairs(conf.set_headers) do
    local variable = conf.variables[name]
    if variable then value = value .. (ctx.var[variable] or '') end
    core.request.set_header(ctx, name, value)
  end
  for _, name in ipairs(conf.remove_headers) do core.request.set_header(ctx, name, nil) end
  -- The limiter answers 500 where none of its rules applies.
  for name in pairs(ngx.req.get_headers(0, true)) do
    if name:lower():sub(1, 15) == 'x-sluice-scope-' then return end
  end
  core.request.set_header(ctx, 'X-Sluice-Levels', nil)
end
