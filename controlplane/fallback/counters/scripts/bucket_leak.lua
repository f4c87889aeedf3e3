-- Adds one request to a leaky bucket; a thousand units are one request.
-- KEYS: a hash of `excess` and `last`.  ARGV: rate and burst in units, now in milliseconds, expiry in seconds.
-- Returns whether it fits, and the excess as text, for Redis cuts numbers to integers.
local rate, burst, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'excess', 'last')
local excess = 0
if state[1] and state[2] then
  excess = math.max(tonumber(state[1]) - rate * math.abs(now - tonumber(state[2])) / 1000 + 1000, 0)
  if excess > burst then
    return {0, tostring(excess)}
  end
end
redis.call('HSET', KEYS[1], 'excess', excess, 'last', now)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {1, tostring(excess)}
