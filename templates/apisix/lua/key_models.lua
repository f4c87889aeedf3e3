return function(conf, ctx)
  local var = ctx.var
  local queue = var.http_x_sluice_queue
  if not queue and not var.http_x_sluice_provider or queue and conf.fixed[queue] then return end
  local model = var['post_arg.model']
  if type(model) == 'string' and conf.models[model] then return end
  ngx.header['Content-Type'] = 'application/json'
  return 403, { error = {
    message = 'This key may not use the model that the request asks for.',
    type = 'invalid_request_error', param = 'model', code = 'model_not_allowed',
  } }
end
