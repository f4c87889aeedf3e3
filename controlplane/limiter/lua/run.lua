-- Runs the operations in their order. Answers the time, the leases that must be ended first, and one answer each.

local answers = {now_text, {}}
for at = FIRST_RULE + #KEYS - FIRST_COUNTER + 1, #ARGV, 2 do
  local verb = string.sub(ARGV[at], 1, 1)
  local run = settle
  if verb == 'r' then run = reserve
  elseif verb == 'n' then run = renew
  elseif verb == 'u' then run = usage
  elseif verb == 'o' then run = count_open
  end
  answers[#answers + 1] = run(ARGV[at], ARGV[at + 1])
end
save()
save_granted()
if due then answers[2] = due end
return answers
