-- score.lua -- what mod_magnet runs for each request: 64 grey values in 0..1, apart by
-- commas, in the query or the body; the answer is the digit and ten probabilities.  /status
-- tells of the worker, /echo gives the query back: what the server costs without a model.
-- mod_magnet keeps one Lua state in each worker, so what is required is there once.

local scorer = require "scorer"
local r = lighty.r

local function respond(status, kind, body)
  r.resp_header["Content-Type"] = kind
  r.resp_body.set(body)
  return status
end

if r.req_attr["uri.path"] == "/status" then
  return respond(200, "text/plain", scorer.status())
end
local numbers = r.req_attr["uri.query"] or ""
if r.req_attr["uri.path"] == "/echo" then return respond(200, "text/plain", numbers) end
if r.req_attr["request.method"] == "POST" then
  if not r.req_body.collect then return 0 end -- called again when the body is there
  -- lighttpd 1.4.69 puts the bytes that came in the same packet before the body
  local length = r.req_body.len
  numbers = length > 0 and r.req_body.get:sub(-length) or ""
end
local answer, message = scorer.score(numbers)
if not answer then return respond(400, "text/plain", message .. "\n") end
return respond(200, "application/json", answer)
