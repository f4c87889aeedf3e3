return function(conf, ctx)
  if ngx.status ~= 429 or ctx.var.upstream_status or ngx.header['Retry-After-Ms'] then return end
  local wait = 1
  for name, value in pairs(ngx.resp.get_headers(0)) do
    local base = name:lower():match('^(.*ratelimit)%-remaining')
    if base and tonumber(value) == 0 then
      local reset = tonumber(ngx.header[name:gsub('[Rr]emaining', 'Reset')])
      if reset and reset > wait then wait = reset end
    end
  end
  ngx.header['Retry-After'] = math.ceil(wait)
  ngx.header['retry-after-ms'] = math.ceil(wait * 1000)
  ngx.header['Content-Type'] = 'application/json'
end
