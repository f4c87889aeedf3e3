-- Adds a cost to a sliding window unless it is full. The window before is over, so its count cannot change.
-- KEYS: this window, the window before.  ARGV: cost, limit, window in seconds, seconds left, expiry in seconds,
-- and the count of the window before where its key is on another node.
-- Returns whether it was added, the count of this window, the count of the window before.
local cost, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local before = math.min(tonumber(KEYS[2] and redis.call('GET', KEYS[2]) or ARGV[6] or 0), limit)
local used = 0
if redis.call('PTTL', KEYS[1]) >= 0 then
  used = tonumber(redis.call('GET', KEYS[1]) or 0)
end
local estimate = before / tonumber(ARGV[3]) * tonumber(ARGV[4]) + used
if used >= limit or estimate >= limit then
  return {0, used, before}
end
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('SET', KEYS[1], cost, 'EX', ARGV[5])
  return {1, cost, before}
end
return {1, redis.call('INCRBY', KEYS[1], cost), before}
