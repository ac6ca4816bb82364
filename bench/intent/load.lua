-- wrk: sends the bodies of a file one after the other, and prints what came of it as one line of JSON.
-- Arguments after `--`: the file (one body a line), where to begin in it, an access token or "-".

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  bodies = {}
  for line in io.lines(arguments[1]) do
    table.insert(bodies, line)
  end
  place = tonumber(arguments[2])
  headers = { ["Content-Type"] = "application/json" }
  if arguments[3] ~= "-" then
    headers["Authorization"] = "Bearer " .. arguments[3]
  end
  answered, refused = 0, 0
end

function request()
  place = place % #bodies + 1
  return wrk.format("POST", nil, headers, bodies[place])
end

function response(code)
  if code == 200 then
    answered = answered + 1
  else
    refused = refused + 1
  end
end

function done(summary, latency)
  local good, bad = 0, 0
  for _, thread in ipairs(threads) do
    good = good + thread:get("answered")
    bad = bad + thread:get("refused")
  end
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format(
    'RESULT {"answered": %d, "refused": %d, "broken": %d, "seconds": %.6f, "p50": %.3f, "p95": %.3f, "p99": %.3f}',
    good, bad, broken, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
