-- Counts one more open connection. Each is a member of a sorted set with the time at which it is forgotten if
-- nobody takes it out, so that a gateway that dies keeps nothing for ever.
-- KEYS: the set.  ARGV: how many are allowed, seconds until a member is forgotten, now in seconds, the member.
-- Returns whether it was allowed, and how many are open.
local most, ttl, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
local open = redis.call('ZCARD', KEYS[1])
if open >= most then
  return {0, open}
end
redis.call('ZADD', KEYS[1], now + ttl, ARGV[4])
redis.call('EXPIRE', KEYS[1], ttl)
return {1, open + 1}
