-- n: lease, and the counters of the reservation; the text is the member of the open leases.
-- Answers K if it is held for another lease from now · L if its lease had ended · N if it was closed before.

local function renew(blob, member)
  if not call('ZSCORE', KEYS[1], member) then
    return call('ZSCORE', KEYS[2], member) and 'L' or 'N'
  end
  local count = byte(blob, 2)
  local figures = {unpack_figures('>BBd' .. string.rep('H', count), blob)}
  call('ZADD', KEYS[1], string.format('%.17g', now + figures[3]), member)
  for j = 4, 3 + count do
    if reserved_on(figures[j]) then touched[figures[j]] = true end  -- so that they live as long as the lease
  end
  return 'K'
end
