-- input.lua -- lines from a person: by lua-readline where that is installed and a terminal
-- listens, plainly otherwise.  What was entered is kept in a file for later sessions.

local core = require "mare.core".functions

local M = {}

local KEPT = 2000     -- lines of history

local function quote(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

--- Where the history is: MARE_HISTORY, or mare/history below XDG_STATE_HOME, or
-- .mare_history at home; nil where none of them is set, or MARE_HISTORY is empty.
function M.history_path()
  local path, state = os.getenv "MARE_HISTORY", os.getenv "XDG_STATE_HOME"
  if path then return path ~= "" and path or nil end
  if state and state ~= "" then
    os.execute("mkdir -p " .. quote(state .. "/mare") .. " 2>/dev/null")
    return state .. "/mare/history"
  end
  local home = os.getenv "HOME"
  return home and home ~= "" and home .. "/.mare_history" or nil
end

-- The lines of the history; the file is cut when it has grown.
local function read_history(path)
  local file, lines = io.open(path), {}
  if not file then return lines end
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  if #lines <= 2 * KEPT then return lines end
  lines = table.move(lines, #lines - KEPT + 1, #lines, 1, {})
  file = io.open(path, "w")
  if file then
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
  end
  return lines
end

-- Remembers a line: in the editor's list and, at once, in the file.
local function remember(self, line)
  if line:find "^%s*$" or line == self.last then return end
  self.last = line
  if self.editor then self.editor.add_history(line) end
  local file = self.path and io.open(self.path, "a")
  if not file then return end
  for part in line:gmatch "[^\n]+" do file:write(part, "\n") end
  file:close()
end

-- -- by lua-readline ------------------------------------------------------------------------

-- What readline calls a word may begin before the name that is completed.
local function completer(editor, complete)
  return function(text, from, to)
    editor.set_completion_append_character ""    -- readline forgets it each time
    local ok, list, part = pcall(complete, text:sub(1, to))
    if not ok then return {} end
    local word = text:sub(from, to)
    local head, skip = word:sub(1, math.max(#word - #part, 0)), math.max(#part - #word, 0)
    for i, entry in ipairs(list) do list[i] = head .. entry:sub(skip + 1) end
    return list
  end
end

local function edited(self, prompt)
  local editor, line, done = self.editor, nil, false
  editor.handler_install(prompt, function(text)
    line, done = text, true
    editor.handler_remove()
  end)
  while not done do
    if core.interrupted(true) then   -- the handler stays: only in itself can it be removed
      io.write "\n"
      return nil, "interrupted"
    end
    editor.read_char()
  end
  if line then remember(self, line) else io.write "\n" end
  return line
end

-- -- plainly -----------------------------------------------------------------------------

local function plain(self, prompt)
  io.write(prompt)
  io.flush()
  core.interrupted()
  local line = io.read "l"
  if core.interrupted() then
    io.write "\n"
    return nil, "interrupted"
  end
  if line then remember(self, line) else io.write "\n" end
  return line
end

-- -- both ------------------------------------------------------------------------------

local function load_editor(path, complete)
  local ok, editor = pcall(require, "readline")
  if not ok or type(editor) ~= "table" or not editor.handler_install then return nil end
  editor.set_options { auto_add = false, keeplines = KEPT, histfile = path or "" }
  editor.set_readline_name "mare"
  editor.set_complete_function(completer(editor, complete))
  return editor
end

--- A reader: reader:read(prompt) gives a line; nil at the end of input; nil and
-- "interrupted" after Ctrl-C.  complete(line) gives completions and what they replace.
function M.new(complete, use_editor)
  local path = M.history_path()
  local lines = path and read_history(path) or {}
  local self = { path = path, last = lines[#lines] }
  if use_editor then self.editor = load_editor(path, complete) end
  self.read = self.editor and edited or plain
  return self
end

return M
