-- chunk.lua -- what a person types at the prompt as a Lua function.
--
-- Each command is a chunk of its own, so its locals would end with it.  Here a `local` at
-- the top of a command (outside of any block or function) becomes a variable of the
-- session: it is seen by later commands, goes before a global of the same name, and is
-- no global: other modules do not see it.  `local x <const>` may be changed later;
-- a `local x <close>` stays a local of its own command, and is closed at the end of it.

local M = {}

-- -- tokens ------------------------------------------------------------------------------

local function long_end(text, at)      -- the place after [==[ ... ]==] that begins at `at`
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at, true)
  return (stop or #text) + 1
end

local function quoted_end(text, at)
  local quote = text:sub(at, at)
  local i = at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == quote then return i + 1 end
    i = i + (c == "\\" and 2 or 1)
  end
  return #text + 1
end

-- The next token from `at` on: its kind, first and last place.
local function token(text, at)
  at = text:match("^%s*()", at)
  if at > #text then return nil end
  local stop
  if text:find("^%-%-", at) then
    stop = long_end(text, at + 2) or text:match("^[^\n]*()", at)
    return "comment", at, stop - 1
  elseif text:find("^[%a_]", at) then
    return "name", at, text:match("^[%w_]+()", at) - 1
  elseif text:find("^%.?%d", at) then
    stop = text:match("^0[xX][%x.]*[pP][+-]?%d+()", at) or text:match("^0[xX][%x.]*()", at)
      or text:match("^[%d.]+[eE][+-]?%d+()", at) or text:match("^[%d.]+()", at)
    return "number", at, stop - 1
  elseif text:find("^[\"']", at) then
    return "string", at, quoted_end(text, at) - 1
  end
  stop = long_end(text, at)
  if stop then return "string", at, stop - 1 end
  return "symbol", at, at
end

local function tokens(text)
  local list, at = {}, 1
  while true do
    local kind, first, last = token(text, at)
    if not kind then return list end
    if kind ~= "comment" then
      list[#list + 1] = { kind = kind, first = first, last = last, text = text:sub(first, last) }
    end
    at = last + 1
  end
end

-- -- locals ------------------------------------------------------------------------------

local opens = { ["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1, ["end"] = -1,
  ["until"] = -1 }

-- The names after a `local` at token i; where their list ends; attributes to blank; or nil
-- for what stays as it is.
local function declared(list, i)
  local names, blanks, k = {}, {}, i + 1
  while list[k] and list[k].kind == "name" do
    names[#names + 1] = list[k].text
    if list[k + 1] and list[k + 1].text == "<" and list[k + 3] and list[k + 3].text == ">" then
      if list[k + 2].text ~= "const" then return nil end
      blanks[#blanks + 1] = { list[k + 1].first, list[k + 3].last }
      k = k + 3
    end
    if not list[k + 1] or list[k + 1].text ~= "," then return names, k, blanks end
    k = k + 2
  end
end

-- What is to change for the `local` at token i of list.
local function rewrite(list, i, edits, names)
  local here = list[i]
  if list[i + 1] and list[i + 1].text == "function" then
    names[#names + 1] = list[i + 2] and list[i + 2].text
    edits[#edits + 1] = { here.first, here.last, "" }
    return
  end
  local found, last, blanks = declared(list, i)
  if not found or found[1] == "_ENV" then return end
  table.move(found, 1, #found, #names + 1, names)
  edits[#edits + 1] = { here.first, here.last, "" }
  for _, blank in ipairs(blanks) do edits[#edits + 1] = { blank[1], blank[2], "" } end
  local after = list[last + 1]
  if not after or after.text ~= "=" then
    edits[#edits + 1] = { list[last].last + 1, list[last].last, " = nil" }
  end
end

--- Text with the locals at its top made assignments, and the names of these.  Places in
-- it stay where they are, but after `local x` without a value.
-- `lift "local x <const> = 1"  --> "      x         = 1", {"x"}`
function M.lift(text)
  local list, edits, names, depth = tokens(text), {}, {}, 0
  for i, t in ipairs(list) do
    if t.kind == "name" then
      local member = list[i - 1] and (list[i - 1].text == "." or list[i - 1].text == ":")
      if not member then
        depth = depth + (opens[t.text] or 0)
        if t.text == "local" and depth == 0 then rewrite(list, i, edits, names) end
      end
    end
  end
  local parts, at = {}, 1
  for _, e in ipairs(edits) do
    parts[#parts + 1] = text:sub(at, e[1] - 1)
    parts[#parts + 1] = e[3] .. (" "):rep(e[2] - e[1] + 1)
    at = e[2] + 1
  end
  return table.concat(parts) .. text:sub(at), names
end

--- Text without spaces at its ends and without the `;` at its end, and whether that was
-- there; comments at the end do not count.
function M.silenced(text)
  local list = tokens(text)
  local last = list[#list]
  if last and last.kind == "symbol" and last.text == ";" then
    return text:sub(1, last.first - 1), true
  end
  return text, false
end

-- -- the session's variables ------------------------------------------------------------------

--- An environment: variables of the session (environment.values), then globals.
function M.environment()
  local values, names = {}, {}
  local self = { values = values, names = names }
  self.env = setmetatable({}, {
    __index = function(_, name)
      if names[name] then return values[name] end
      return _G[name]
    end,
    __newindex = function(_, name, value)
      if names[name] then values[name] = value else _G[name] = value end
    end,
    __pairs = function()
      local all = {}
      for name, value in pairs(_G) do all[name] = value end
      for name in pairs(names) do all[name] = values[name] end
      return pairs(all)
    end,
  })
  function self.declare(name, value)
    if value == nil and not names[name] then value = _G[name] end   -- local print = print
    names[name] = true
    if value ~= nil then values[name] = value end
  end
  return self
end

-- Would more lines help?  A quoted string cannot go on in the next one.
local function unfinished(message)
  return message:find "near <eof>$" ~= nil and not message:find "unfinished string near <eof>$"
end

-- Before an expression.  With something to close its call is no tail call: errors find the
-- command on the stack.
local RETURN = "local __ <close> = nil return "

--- Compiles a command: a function and whether it is an expression; or nil, a message and
-- whether more lines may complete it.
function M.compile(text, name, session)
  local f, first = load(RETURN .. text, name, "t", session.env)
  if f then return f, true end
  local lifted, names = M.lift(text)
  local message
  f, message = load(lifted, name, "t", session.env)
  if not f then return nil, message, unfinished(first) or unfinished(message) end
  for _, local_name in ipairs(names) do session.declare(local_name) end
  return f, false
end

return M
