-- A node's sign of life, and how many have given one lately.
-- KEYS[1]: nodes by the millisecond of their last sign. ARGV: node, milliseconds that it holds.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local text = string.format('%.0f', now)
redis.call('ZADD', KEYS[1], text, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { redis.call('ZCARD', KEYS[1]), text }
