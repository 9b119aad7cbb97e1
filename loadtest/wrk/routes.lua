-- Asks for N routes in turn and prints wrk's counts as one JSON line.
-- The requests are made once, so that the generator spends as little as it can on each.

local made, next_request = {}, 0

function init(args)
  local routes = tonumber(args[1]) or 0
  for i = 0, math.max(routes, 1) - 1 do
    local path = routes > 0 and string.format("/items-%05d/%d", i, i) or "/"
    made[i + 1] = wrk.format("GET", path)
  end
end

function request()
  next_request = next_request % #made + 1
  return made[next_request]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": '
      .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
