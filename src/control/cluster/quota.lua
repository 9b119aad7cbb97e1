-- Counts a block of a quota, as far as the quota reaches. The window is part of the key.
-- KEYS[1]: requests counted. ARGV: want, limit, back, seconds that the key lives.
-- back: requests that were counted in a block before and have not come.
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local back = math.min(tonumber(ARGV[3]), used)
local granted = math.max(0, math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - used + back))
used = redis.call('INCRBY', KEYS[1], string.format('%.0f', granted - back))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return { granted, string.format('%.0f', used) }
