-- Adds a cost to fixed windows, in APISIX's format: the value is what was used, the TTL is what is left of the
-- window. With a probe, stops at the first window in which that much does not fit any more.
-- KEYS: one a window.  ARGV: the cost, the probe, then a limit and a length in seconds for each window.
-- Returns used and milliseconds left for each window that was looked at.
local cost, probe = tonumber(ARGV[1]), tonumber(ARGV[2])
local standings = {}
for i, key in ipairs(KEYS) do
  local limit, seconds = tonumber(ARGV[2 * i + 1]), ARGV[2 * i + 2]
  local used
  local left = redis.call('PTTL', key)
  if left < 0 then
    redis.call('SET', key, cost, 'EX', seconds)
    used, left = cost, seconds * 1000
  elseif cost == 0 then
    used = tonumber(redis.call('GET', key)) or 0
  else
    used = redis.call('INCRBY', key, cost)
  end
  standings[#standings + 1] = used
  standings[#standings + 1] = left
  if used + probe > limit then
    break
  end
end
return standings
