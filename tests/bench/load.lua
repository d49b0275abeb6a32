-- The requests of a run, and what came of them. Arguments: their kind, a path, an argument, header lines. Kinds:
--   same: always the path; new: the path and a number, each new; random: the path and a number below the argument;
--   fill: the path and each number below the argument, and FILLED once so many have been answered;
--   post: the path, with the argument as body

local head, tail, count, number, answered = "", "", 0, 0, 0

local kinds = {
  same = function() return head .. tail end,
  new = function()
    number = number + 1
    return head .. number .. tail
  end,
  random = function() return head .. math.random(0, count - 1) .. tail end,
  fill = function()
    number = number + 1
    return head .. (number - 1) % count .. tail
  end,
}

function init(args)
  local kind, prefix, lines = args[1], args[2], args[4] or ""
  if kind == "post" then
    lines = lines .. "Content-Length: " .. #args[3] .. "\r\n"
    local whole = "POST " .. prefix .. " HTTP/1.1\r\nHost: bench.example\r\n" .. lines .. "\r\n" .. args[3]
    request = function() return whole end
    return
  end
  head = "GET " .. prefix
  tail = " HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: wrk\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
    .. lines .. "\r\n"
  count = tonumber(args[3])
  math.randomseed(1)
  request = kinds[kind]
  if kind == "fill" then
    response = function()
      answered = answered + 1
      if answered == count then
        io.write("FILLED\n")
        io.flush()
      end
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
