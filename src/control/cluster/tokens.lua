-- A shared bucket's books; ledger.rs says what they hold and why. Times in microseconds.
-- KEYS[1]: a hash of m (tokens missing), t (at which time), and each node's "tokens time".
-- ARGV: tokens a microsecond, burst, node, want, held, back, missing, hold.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local per_us, burst, node = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local want, held, back = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local known, hold = tonumber(ARGV[7]), tonumber(ARGV[8])
local missing, at, all, own, others = 0, now, 0, 0, 0
local books = redis.call('HGETALL', KEYS[1])
for i = 1, #books, 2 do
  local field, value = books[i], books[i + 1]
  if field == 'm' then
    missing = tonumber(value)
  elseif field == 't' then
    at = tonumber(value)
  else
    local tokens, seen = string.match(value, '^(%d+) (%d+)$')
    tokens = tonumber(tokens)
    all = all + tokens
    if field == node then
      own = tokens
    elseif now - tonumber(seen) > hold then
      redis.call('HDEL', KEYS[1], field)
    else
      others = others + tokens
    end
  end
end
missing = math.max(missing - math.max(now - at, 0) * per_us, all, math.min(known, burst))
missing = math.max(missing - math.min(back, own), others + held)
local granted = math.min(want, math.max(0, math.floor(burst - missing)))
missing = missing + granted
local text = string.format('%.17g', missing)
redis.call('HSET', KEYS[1], 'm', text, 't', string.format('%.0f', now))
if held + granted > 0 then
  redis.call('HSET', KEYS[1], node, string.format('%.0f %.0f', held + granted, now))
else
  redis.call('HDEL', KEYS[1], node)
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(missing / per_us / 1000 + hold / 1000)))
return { granted, text }
