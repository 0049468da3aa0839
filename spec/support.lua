-- support.lua -- what several specs use: reading tensors without the operations under
-- test, comparing numbers, and looking at errors.

local M = {}

local format = {f32 = "f", f64 = "d", i64 = "j", u8 = "B"}
local width = {f32 = 4, f64 = 8, i64 = 8, u8 = 1}

--- The elements of a tensor in row-major order.
function M.flat(t)
  local bytes, list = t:tobytes(), {}
  local code, size = format[t.dtype], width[t.dtype]
  for i = 1, #bytes // size do list[i] = string.unpack(code, bytes, (i - 1) * size + 1) end
  return list
end

--- The nearest f32 number.
function M.single(v) return (string.unpack("f", string.pack("f", v))) end

--- A tensor of this shape from a list of numbers in row-major order.
function M.tensor(list, dtype, shape)
  local t = require "mare".tensor(list, dtype)
  return shape and t:reshape(shape) or t
end

--- The number of elements of a shape.
function M.count(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end

--- Calls f(position) for the positions of a shape in row-major order.
function M.positions(shape, f)
  local p = {}
  local function loop(d)
    if d > #shape then return f(p) end
    for i = 1, shape[d] do
      p[d] = i
      loop(d + 1)
    end
  end
  loop(1)
end

--- The place of a position in the row-major list of a shape's elements, from 1.
function M.offset(shape, p)
  local k = 0
  for d = 1, #shape do k = k * shape[d] + p[d] - 1 end
  return k + 1
end

--- A function that gives the same sequence of numbers in lo..hi on every run.
function M.sequence(seed)
  local state = seed * 2654435761 & 0xffffffff
  return function(lo, hi)
    state = (state * 6364136223846793005 + 1442695040888963407)
    local u = (state >> 11) * 2.0 ^ -53
    return lo and lo + u * (hi - lo) or u
  end
end

--- Equal up to an error relative to 1 + |b|; NaN equals NaN, infinities themselves.
function M.near(a, b, tolerance)
  if a == b or (a ~= a and b ~= b) then return true end
  if a ~= a or b ~= b or math.abs(b) == math.huge then return false end
  return math.abs(a - b) <= tolerance * (1 + math.abs(b))
end

--- Raises unless ok; the rest is a format and its values.
function M.demand(ok, message, ...)
  if not ok then error(message:format(...), 2) end
end

--- Two lists of numbers agree; `what` says whose they are.
function M.same(got, want, tolerance, what)
  if #got ~= #want then
    error(("%s: %d values where %d are expected"):format(what, #got, #want), 2)
  end
  for i = 1, #want do
    if not M.near(got[i], want[i], tolerance) then
      error(("%s: value %d is %.17g, expected %.17g"):format(what, i, got[i], want[i]), 2)
    end
  end
end

--- The error of f(...) as text; fails when there is none.
function M.message(f, ...)
  local ok, text = pcall(f, ...)
  if ok then error("an error was expected", 2) end
  return tostring(text)
end

--- The error of f() contains each of these plain texts and stands at this line of a file:
--- fails("name_spec.lua:12:", f, "text", ...).  With place nil any place is right.
function M.fails(place, f, ...)
  local text = M.message(f)
  if place and not text:find(place, 1, true) then
    error(("error not at %s but: %s"):format(place, text), 2)
  end
  for _, part in ipairs {...} do
    if not text:find(part, 1, true) then
      error(("error without '%s': %s"):format(part, text), 2)
    end
  end
end

--- Runs a shell command: what it printed, errors among it, and whether it ended well.
function M.run(command)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  local text = pipe:read "a"
  return text, pipe:close() == true
end

--- The bytes of a file.
function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Writes a file; returns its path.
function M.write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  return path
end

--- Where the build is that is tested.
M.build = (os.getenv "LUA_CPATH" or ""):match "([^;]*)/%?%.so" or "build"

--- The size of a sample that only repeats what a smaller one shows: `make thorough` takes all.
function M.sample(some, all) return os.getenv "THOROUGH" and all or some end

--- Live bytes of tensors after everything that can go has gone.
function M.live()
  collectgarbage()
  collectgarbage()
  return require "mare".memory().live
end

return M
