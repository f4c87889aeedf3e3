return function(conf, ctx)
  local core = require('apisix.core')
  for name, value in pairs(conf.set_headers) do
    local variable = conf.variables[name]
    if variable then value = value .. (ctx.var[variable] or '') end
    core.request.set_header(ctx, name, value)
  end
  for _, name in ipairs(conf.remove_headers) do core.request.set_header(ctx, name, nil) end
end
