-- What wrk sends, by the environment:
--   BENCH_VALUES   a file of lines: each the Authorization header or the body of a request, in turn
--   BENCH_KIND     header, body, or chain: a body that holds a token, whose answer holds the next;
--                  or mixed: lines of a method, a path, and a header line or, of a POST, a body
--   BENCH_SENDS    for chain: the name of the token in the body sent
--   BENCH_ANSWERS  for chain: its name in the answer
--   BENCH_FIRST    for header: each request comes from an address of its own, this number of
--                  10.0.0.0/8 and those after it; an empty line in the file is a request without a
--                  credential, to be answered 401
-- Prints a line of JSON at the end.

local kind = os.getenv("BENCH_KIND")
local first = tonumber(os.getenv("BENCH_FIRST") or "")
local pattern = '"' .. (os.getenv("BENCH_ANSWERS") or "") .. '":%s*"([^"]+)"'
local json = { ["Content-Type"] = "application/json" }
local values, made, sent = {}, {}, 0
local threads = {}

ok, refused, other = 0, 0, 0 -- globals: the main thread reads them at the end

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  for line in io.lines(os.getenv("BENCH_VALUES")) do
    table.insert(values, line)
  end
  if kind == "chain" or first then return end
  for n, value in ipairs(values) do
    if kind == "mixed" then
      local method, path, rest = value:match("^(%u+) (%S+) (.*)$")
      if method == "POST" then
        made[n] = wrk.format("POST", path, json, rest)
      else
        local name, content = rest:match("^(%S+): (.*)$")
        made[n] = wrk.format(method, path, { [name] = content })
      end
    elseif kind == "header" then
      made[n] = wrk.format("GET", nil, value ~= "" and { Authorization = value } or nil)
    else
      made[n] = wrk.format("POST", nil, json, value)
    end
  end
end

function request()
  sent = sent + 1
  if kind == "chain" then
    local token = table.remove(values, 1)
    if token == nil then error("the tokens ran out") end
    return wrk.format("POST", nil, json, '{"' .. os.getenv("BENCH_SENDS") .. '":"' .. token .. '"}')
  end
  if first then
    local n = first + sent
    local address = string.format("10.%d.%d.%d", n / 65536 % 256, n / 256 % 256, n % 256)
    local value = values[(sent - 1) % #values + 1]
    return wrk.format("GET", nil, {
      ["X-Forwarded-For"] = address, Authorization = value ~= "" and value or nil,
    })
  end
  return made[(sent - 1) % #made + 1]
end

if kind == "chain" or first then
  function response(status, headers, body)
    if status == 200 then ok = ok + 1
    elseif status == 401 then refused = refused + 1
    else other = other + 1 end
    if kind == "chain" then
      local token = body:match(pattern)
      if token then table.insert(values, token) end
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"bad":%d,"broken":%d,'
      .. '"ok":%d,"refused":%d,"other":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    threads[1]:get("ok"), threads[1]:get("refused"), threads[1]:get("other")))
end
