return function(conf, ctx)
  local core = require('apisix.core')
  for _, choice in ipairs(conf.choices) do
    local value = ctx.var[choice.variable] or ''
    local own = choice.values[value]
    for name, text in pairs(own or choice.others) do
      if not own and choice.ends[name] then text = text .. value end
      core.request.set_header(ctx, name, text)
    end
  end
end
