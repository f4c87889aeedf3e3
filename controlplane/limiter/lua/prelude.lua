-- One batch of operations, run at once. The other files follow this one, all in one script.
-- KEYS: 1 the open leases, 2 the leases that ended unsettled, then one for each counter.
-- ARGV: 1 the time (or '' for the server's own), 2 the time until which somebody waits for reservations (or ''),
-- then a rule for each counter, then two for each operation: its figures, which begin with its verb and the number
-- of its charges, one byte each; and its text.

local call, pack, unpack_figures, byte = redis.call, struct.pack, struct.unpack, string.byte
local max, min = math.max, math.min
local NEVER = -1
local FIRST_COUNTER, FIRST_RULE = 2, 2

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1e6
end
local now_text = string.format('%.17g', now)
local too_late = now > (tonumber(ARGV[2]) or now)
