-- job.lua -- this process among the others: its rank, waiting, and whether all of them are
-- at the same place with values of the same kind.

local check = require "mare.check"
local core = require "mare.core".functions

-- errors are raised at the line of the user, not at one here
core.source(core.here())

local found, native = pcall(require, "mare.mpi.core")
if not found then
  check.fail("mare.mpi is not built; in a checkout: make mpi, or luarocks --lua-version 5.4 " ..
    "make rocks/mare-mpi-scm-1.rockspec\n%s", native)
end

-- doing: what the ranks last agreed to do; turns: how often this one has come to that;
-- patience: seconds that a wait may take.
local M = { native = native, rank = nil, size = nil, doing = "init()", turns = 0, patience = 1800 }

--- Raises unless init has been called and finalize has not.
function M.ready(name)
  if M.rank then return end
  check.fail("'%s': %s", name, M.ended and "mpi.finalize has been called"
    or "mpi.init has not been called")
end

local function too_long()
  check.fail("rank %d of %d has waited %g s for others in %s; they are lost, stuck or doing " ..
    "something else (init's option timeout)", M.rank, M.size, M.patience, M.doing)
end

--- Waits for a request; a debug hook may end that.  Returns the rank that sent, for a receive.
function M.wait(request)
  local done, source = request:test()
  local began = not done and core.clock()
  while not done do
    if core.clock() - began > M.patience then too_long() end
    done, source = request:test()
  end
  return source
end

-- -- the same on all ranks? ---------------------------------------------------------------

-- FNV-1a (Fowler, Noll and Vo), 64 bits.
local function hash(text)
  local h = 0xcbf29ce484222325
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return h
end

local WIDTH = 4096 -- what is compared of a text

local function all_texts(text)
  text = text:sub(1, WIDTH)
  local mine = core.frombytes(text .. ("\0"):rep(WIDTH - #text), "u8", { WIDTH })
  local all = core.zeros(M.size, WIDTH, "u8")
  M.wait(native.allgather(mine, all))
  local list, bytes = {}, all:tobytes()
  for r = 0, M.size - 1 do
    list[r] = bytes:sub(r * WIDTH + 1, (r + 1) * WIDTH):gsub("%z+$", "")
  end
  return list
end

-- Where two texts begin to differ.
local function first_difference(a, b)
  for i = 1, #a do
    if a:byte(i) ~= b:byte(i) then return i end
  end
  return #a + 1
end

local function excerpt(text, at)
  local head = #text > 120 and at > 60 and text:match "^[^%(]*%(" .. "... " or ""
  local first = head == "" and 1 or at - 20
  return head .. text:sub(first, first + 199) .. (#text >= first + 200 and " ..." or "")
end

local function refuse(texts)
  local parts, at = {}, math.huge
  for r = 1, M.size - 1 do
    if texts[r] ~= texts[0] then at = math.min(at, first_difference(texts[0], texts[r])) end
  end
  for r = 1, M.size - 1 do
    if texts[r] ~= texts[0] then
      parts[#parts + 1] = ("rank %d %s"):format(r, excerpt(texts[r], at))
    end
  end
  check.fail("the ranks do not agree: rank 0 calls %s, %s", excerpt(texts[0], at),
    table.concat(parts, ", "))
end

-- Is the text the same everywhere?  The largest and the least of all hashes tell every rank.
local function same(text)
  local h = hash(text)
  local seen = core.tensor({ h, ~h }, "i64")
  M.wait(native.allreduce(seen, "max"))
  local most, least = table.unpack(seen:totable())
  return most == h and least == ~h or all_texts(text)
end

--- Raises on every rank unless all of them call this with the same text, which says what they
-- are about to do: "allreduce(sum, f32 3x4)".
function M.agree(text)
  M.turns, M.doing = M.turns + 1, text
  if M.size == 1 then return end
  local answer
  do
    local _ <close> = core.scope()
    answer = same(text)
  end
  if answer ~= true then refuse(answer) end
end

local function pass_on(name, turns, ok, ...)
  if ok then return ... end
  if M.turns == turns then
    pcall(M.agree, ("%s and raises: %s"):format(name, tostring((...))))
  end
  error((...), 0)
end

--- f(...), a function that all ranks call.  Where it raises before they have agreed, as one
-- that got a wrong argument does, the others are told and raise too: they would wait for it.
function M.collective(name, f, ...)
  M.ready(name)
  return pass_on(name, M.turns, pcall(f, ...))
end

return M
