-- figure.lua -- a figure is a value: panels with layers, shown in a terminal or saved to a file.

local check = require "mare.check"
local progress = require "mare.progress"
local scale = require "mare.plot.scale"

local M = {}

local Panel, Figure = {}, {}
Panel.__index, Figure.__index = Panel, Figure

-- What a panel may be told: { name = the kind of value }.
M.options = {
  title = "string", xlabel = "string", ylabel = "string", zlabel = "string", xlog = "boolean",
  ylog = "boolean", xlim = "table", ylim = "table",
}

--- A panel with these options, without layers.
function M.panel(opts)
  local panel = setmetatable({ layers = {} }, Panel)
  for name in pairs(M.options) do panel[name] = opts[name] end
  return panel
end

--- Text of at most so many characters; bytes that are no UTF-8 become question marks.
function M.cut(text, width)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  if utf8.len(text) > width then
    return text:sub(1, utf8.offset(text, math.max(width, 1)) - 1) .. "…"
  end
  return text
end

-- Lists of the values along an axis, of all layers.
local function values(panel, axis)
  local lists = {}
  for _, layer in ipairs(panel.layers) do
    if layer.kind == "bars" and axis == "x" then
      for _, v in ipairs(layer.x) do
        lists[#lists + 1] = { v - layer.width / 2, v + layer.width / 2 }
      end
    elseif layer[axis] then
      lists[#lists + 1] = layer[axis]
      if layer.kind == "bars" then lists[#lists + 1] = { 0 } end
    end
  end
  return lists
end

local function fixed(panel, axis)
  for _, layer in ipairs(panel.layers) do
    if layer.kind == "map" then return layer[axis .. "0"], layer[axis .. "1"] end
    if layer.kind == "contour" then
      local list = layer[axis .. "s"]
      return list[1], list[#list]
    end
  end
end

local function limits(panel, axis)
  local lim, log = panel[axis .. "lim"], panel[axis .. "log"]
  if lim then return lim[1], lim[2] end
  local lo, hi = fixed(panel, axis)
  if lo then return lo, hi end
  lo, hi = scale.range(values(panel, axis), log)
  local bars = panel.layers[1] and panel.layers[1].kind == "bars"
  if bars and axis == "y" and lo and lo >= 0 and not log then
    return 0, hi > 0 and hi * 1.05 or 1
  end
  return scale.padded(lo, hi, log, bars and axis == "x" and 0 or nil)
end

--- The points of a line that no neighbour joins: they would not be seen.  Two lists.
function Panel:lonely(layer)
  local function seen(i)
    local x, y = layer.x[i], layer.y[i]
    return x and scale.finite(x) and scale.finite(y) and (x > 0 or not self.xlog) and
      (y > 0 or not self.ylog)
  end
  local x, y = {}, {}
  for i = 1, #layer.x do
    if seen(i) and not seen(i - 1) and not seen(i + 1) then
      x[#x + 1], y[#y + 1] = layer.x[i], layer.y[i]
    end
  end
  return x, y
end

--- xlo, xhi, ylo, yhi: what the panel shows.
function Panel:limits()
  local xlo, xhi = limits(self, "x")
  local ylo, yhi = limits(self, "y")
  return xlo, xhi, ylo, yhi
end

--- A figure of panels, `columns` of them in a row.
function M.new(panels, columns, title)
  return setmetatable({ panels = panels, columns = columns or 1, title = title }, Figure)
end

--- Is v a figure?
function M.is_figure(v) return getmetatable(v) == Figure end

-- -- showing --------------------------------------------------------------------------------

local function coloured(opts)
  if opts.color ~= nil then return opts.color end
  return os.getenv "NO_COLOR" == nil and progress.is_terminal()
end

local function height_of()
  local n = math.tointeger(tonumber(os.getenv "LINES"))
  return n and n > 8 and math.min(n - 2, 40) or 22
end

--- The figure as text.  Options: width (the terminal's, at most 120), height (22), color.
function Figure:text(opts)
  check.options(1, "text", opts, { width = true, height = true, color = true })
  opts = opts or {}
  local width = opts.width or math.min(progress.columns(), 120)
  check.count(1, "text", width, 20)
  local height = check.count(1, "text", opts.height or height_of(), 8, "height")
  local lines = require "mare.plot.terminal".lines(self, width, height, coloured(opts))
  return table.concat(lines, "\n")
end

--- Draws the figure in the terminal, and returns it.  Options as for text, and out (a file).
-- `mare.plot.line({ 1, 4, 9 }):show()`
function Figure:show(opts)
  check.options(1, "show", opts, { width = true, height = true, color = true, out = true })
  local out, rest = io.stdout, {}
  for k, v in pairs(opts or {}) do
    if k == "out" then out = v else rest[k] = v end
  end
  out:write(self:text(rest), "\n")
  return self
end

--- Draws the figure to a file by gnuplot: .svg, .png or .pdf.  Returns true, or nil and a
-- message.  Options: width (800) and height (600) in pixels.
-- `assert(fig:save "loss.svg")`
function Figure:save(path, opts)
  check.options(2, "save", opts, { width = true, height = true })
  local width = check.count(2, "save", opts and opts.width or 800, 100, "width")
  local height = check.count(2, "save", opts and opts.height or 600, 100, "height")
  return require "mare.plot.gnuplot".save(self, path, width, height)
end

function Figure:__tostring() return self:text() end

return M
