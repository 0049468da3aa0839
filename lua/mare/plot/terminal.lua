-- terminal.lua -- a figure as text: curves and points in braille dots, images and maps in half
-- blocks, with axes, ticks and a legend.  Colour where the terminal has it and NO_COLOR is not
-- set; without colour, several series get a letter each.

local cut = require "mare.plot.figure".cut
local scale = require "mare.plot.scale"

local M = {}

local palette = { 75, 208, 114, 203, 176, 179, 117, 250 }          -- of 256 colours
local dark = { 17, 94, 22, 53, 88, 58, 23, 238 }                  -- behind points
local letters = "ox+*#@%&abcdefghijklmnpqrstuvwyzABCDEFGHIJKLMNPQRSTUVWYZ" -- of the series
local hatches = { " ", ".", ":", "-", "=", "~", "'", "," }              -- of regions
local shades = { " ", ".", ":", "-", "=", "+", "*", "#", "%", "@" }
local ramp = { 17, 18, 19, 20, 26, 32, 38, 44, 43, 42, 76, 112, 148, 184, 220, 226 }
local PLAIN = 6 -- from here on the ramp can be seen on black
local greys = {}
for i = 0, 23 do greys[i + 1] = 232 + i end

local function colour(code, text, on)
  return on and code and ("\27[38;5;%dm%s\27[0m"):format(code, text) or text
end

-- -- a raster of dots -----------------------------------------------------------------------

local Canvas = {}
Canvas.__index = Canvas

local function canvas(width, height)
  return setmetatable({ width = width, height = height, bits = {}, code = {}, glyph = {} }, Canvas)
end

local dots = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } } -- row, column

-- A dot at (px, py), counted from 0 at the top left, 2 x 4 to a cell.
function Canvas:dot(px, py, code, glyph)
  if px < 0 or py < 0 or px >= 2 * self.width or py >= 4 * self.height then return end
  local cell = py // 4 * self.width + px // 2
  self.code[cell] = code
  if glyph then self.glyph[cell] = glyph return end
  self.bits[cell] = (self.bits[cell] or 0) | dots[py % 4 + 1][px % 2 + 1]
end

-- The part of the way from p to p + d, between t0 and t1, on which 0 <= p + t d <= most.
local function inside(p, d, most, t0, t1)
  if d == 0 then return t0, p >= 0 and p <= most and t1 or -1 end
  local a, b = -p / d, (most - p) / d
  return math.max(t0, math.min(a, b)), math.min(t1, math.max(a, b))
end

-- A line; what lies outside is cut off.
function Canvas:line(x0, y0, x1, y1, code, glyph)
  local t0, t1 = inside(x0, x1 - x0, 2 * self.width - 1, 0, 1)
  t0, t1 = inside(y0, y1 - y0, 4 * self.height - 1, t0, t1)
  if t0 > t1 then return end
  x0, x1 = x0 + (x1 - x0) * t0, x0 + (x1 - x0) * t1
  y0, y1 = y0 + (y1 - y0) * t0, y0 + (y1 - y0) * t1
  local steps = math.ceil(math.max(math.abs(x1 - x0), math.abs(y1 - y0)))
  for i = 0, steps do
    local t = steps == 0 and 0 or i / steps
    local px, py = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
    self:dot(math.floor(px + 0.5), math.floor(py + 0.5), code, glyph)
  end
end

function Canvas:row(r, coloured)
  local out = {}
  for c = 0, self.width - 1 do
    local cell = r * self.width + c
    local bits = self.bits[cell]
    local text = self.glyph[cell] or (bits and utf8.char(0x2800 + bits)) or " "
    out[c + 1] = text ~= " " and colour(self.code[cell], text, coloured) or text
  end
  return table.concat(out)
end

-- -- a panel's coordinates ------------------------------------------------------------------

local function axis(lo, hi, log, size)
  if log then lo, hi = math.log(lo, 10), math.log(hi, 10) end
  local span = hi / 2 - lo / 2
  if span <= 0 then span = 0.5 end
  return function(v)
    if not scale.finite(v) or (log and v <= 0) then return nil end
    if log then v = math.log(v, 10) end
    return (v / 2 - lo / 2) / span * (size - 1)
  end
end

-- -- layers ---------------------------------------------------------------------------------

local draw = {}

local function pixel(view, x, y)
  local px, py = view.x(x), view.y(y)
  if not px or not py then return nil end
  return math.floor(px + 0.5), view.rows - 1 - math.floor(py + 0.5)
end

function draw.line(view, layer)
  local px, py
  for i = 1, #layer.x do
    local qx, qy = pixel(view, layer.x[i], layer.y[i])
    if qx and px then view.canvas:line(px, py, qx, qy, layer.code, layer.glyph)
    elseif qx then view.canvas:dot(qx, qy, layer.code, layer.glyph) end
    px, py = qx, qy
  end
end

function draw.points(view, layer)
  for i = 1, #layer.x do
    local px, py = pixel(view, layer.x[i], layer.y[i])
    if px then view.canvas:dot(px, py, layer.code, layer.glyph) end
  end
end

-- Bars stand on 0, on a log axis at its lower end.
function draw.bars(view, layer)
  local half = layer.width / 2 * (layer.gap and 0.85 or 1)
  for i = 1, #layer.x do
    local left, base = pixel(view, layer.x[i] - half, view.ylo)
    local right, top = pixel(view, layer.x[i] + half, layer.y[i])
    if left and right and base and top then
      for px = left, math.max(left, right - 1) do
        view.canvas:line(px, base, px, top, layer.code, layer.glyph)
      end
    end
  end
end

-- The places where a level crosses the sides of the cell of a grid right of and above (r, c).
local function crossings(layer, r, c, level)
  local grid, xs, ys, list = layer.grid, layer.xs, layer.ys, {}
  local function side(r0, c0, r1, c1)
    local v, w = grid[r0][c0], grid[r1][c1]
    if (v < level) == (w < level) or not (scale.finite(v) and scale.finite(w)) then return end
    local t = (level - v) / (w - v)
    list[#list + 1] = { xs[c0] + (xs[c1] - xs[c0]) * t, ys[r0] + (ys[r1] - ys[r0]) * t }
  end
  side(r, c, r, c + 1)
  side(r, c + 1, r + 1, c + 1)
  side(r + 1, c + 1, r + 1, c)
  side(r + 1, c, r, c)
  return list
end

-- Lines of equal value: through each cell from side to side.
function draw.contour(view, layer)
  for k, level in ipairs(layer.levels) do
    local part = (k - 1) / math.max(#layer.levels - 1, 1)
    local code = ramp[PLAIN + math.floor(part * (#ramp - PLAIN))]
    for r = 1, #layer.ys - 1 do
      for c = 1, #layer.xs - 1 do
        local list = crossings(layer, r, c, level)
        for i = 1, #list - 1, 2 do
          local px, py = pixel(view, table.unpack(list[i]))
          local qx, qy = pixel(view, table.unpack(list[i + 1]))
          if px and qx then view.canvas:line(px, py, qx, qy, code) end
        end
      end
    end
  end
end

-- The value of a grid (rows from the bottom, ys ascending) at a place: the nearest.
local function nearest(list, v)
  local n = #list
  if n == 1 then return 1 end
  local t = (v - list[1]) / (list[n] - list[1]) * (n - 1)
  return math.max(1, math.min(n, math.floor(t + 1.5)))
end

-- Maps fill the panel: two values to a cell, above and below.
local function map_code(layer, v, coloured)
  if not scale.finite(v) then return nil end
  local t = (v - layer.lo) / (layer.hi > layer.lo and layer.hi - layer.lo or 1)
  local class = layer.classes and math.floor(v + 0.5) - 1
  if not coloured then
    if class then return hatches[class % #hatches + 1] end
    return shades[1 + math.floor(t * (#shades - 1) + 0.5)]
  end
  if class then return dark[class % #dark + 1] end
  local codes = layer.grey and greys or ramp
  return codes[1 + math.floor(t * (#codes - 1) + 0.5)]
end

local function map_row(view, layer, r, coloured)
  local out, height = {}, view.rows // 4
  for c = 0, view.columns // 2 - 1 do
    local x = layer.x0 + (c + 0.5) / (view.columns // 2) * (layer.x1 - layer.x0)
    local function at(part)
      local y = layer.y1 - (r + part) / height * (layer.y1 - layer.y0)
      return layer.grid[nearest(layer.ys, y)][nearest(layer.xs, x)]
    end
    local glyph = view.canvas.glyph[r * view.canvas.width + c]
    local bits = view.canvas.bits[r * view.canvas.width + c]
    if coloured then
      local top, bottom = map_code(layer, at(0.25), true), map_code(layer, at(0.75), true)
      if glyph or bits then
        out[#out + 1] = ("\27[48;5;%dm\27[38;5;%dm%s\27[0m"):format(bottom or 0,
          view.canvas.code[r * view.canvas.width + c] or 15, glyph or utf8.char(0x2800 + bits))
      else
        out[#out + 1] = ("\27[38;5;%d;48;5;%dm▀\27[0m"):format(top or 0, bottom or 0)
      end
    else
      local dots_here = bits and utf8.char(0x2800 + bits)
      out[#out + 1] = glyph or dots_here or map_code(layer, at(0.5), false) or "?"
    end
  end
  return table.concat(out)
end

-- Texts stand at their places, one letter to a cell.
local function write_texts(view, panel)
  for _, t in ipairs(panel.texts or {}) do
    local px, py = pixel(view, t.x, t.y)
    if px then
      local from = px // 2 - #t.text // 2
      for i = 1, #t.text do
        local c = from + i - 1
        if c >= 0 and c < view.canvas.width then
          local cell = py // 4 * view.canvas.width + c
          view.canvas.glyph[cell] = t.text:sub(i, i)
          view.canvas.code[cell] = t.colour == "black" and 16 or 15
        end
      end
    end
  end
end

-- -- a panel --------------------------------------------------------------------------------

local function centred(text, width)
  text = cut(text, width)
  return (" "):rep((width - (utf8.len(text) or #text)) // 2) .. text
end

-- Labels of the y axis by row of cells.
local function y_labels(panel, lo, hi, view, height)
  local values, texts = scale.ticks(lo, hi, math.max(2, height // 4), panel.ylog)
  local at, widest = {}, 0
  if panel.ynames then values, texts = panel.ynames.at, panel.ynames.text end
  for i, v in ipairs(values) do
    local p = view.y(v)
    if p then
      local r = (view.rows - 1 - math.floor(p + 0.5)) // 4
      if r >= 0 and r < height then
        at[r] = cut(texts[i], 14)
        widest = math.max(widest, utf8.len(at[r]))
      end
    end
  end
  return at, widest
end

-- Texts at columns of a line, those that would overlap left out; each is { column, text }.
local function placed(items, width)
  local line, last = {}, -1
  for _, item in ipairs(items) do
    local n = utf8.len(item[2])
    local from = math.max(0, math.min(item[1] - (n - 1) // 2, width - n))
    if from > last + (last >= 0 and 1 or 0) then
      line[#line + 1] = (" "):rep(from - last - 1) .. item[2]
      last = from + n - 1
    end
  end
  return table.concat(line)
end

-- The lines below the x axis, and the columns that have a tick.  Names that do not fit side by
-- side stand on two or three lines, more of them are thinned out.
local function x_labels(panel, lo, hi, view, width)
  local values, texts = scale.ticks(lo, hi, math.max(2, width // 12), panel.xlog)
  if panel.xnames then values, texts = panel.xnames.at, panel.xnames.text end
  local longest = 0
  for _, text in ipairs(texts) do longest = math.max(longest, utf8.len(cut(text, 14))) end
  local each = panel.xnames and math.max(1, math.ceil((longest + 2) * #values / width)) or 1
  local rows, step = math.min(each, 3), math.ceil(each / 3)
  local items, marks = {}, {}
  for k = 1, rows do items[k] = {} end
  for i = 1, #values, step do
    local p = view.x(values[i])
    local c = p and math.floor(p + 0.5) // 2
    if c and c >= 0 and c < width then
      marks[c] = true
      table.insert(items[(i - 1) // step % rows + 1], { c, cut(texts[i], 14) })
    end
  end
  for k in ipairs(items) do items[k] = placed(items[k], width) end
  return items, marks
end

local signs = { line = "──", bars = "██" }

local function number(v) return (("%.4g"):format(v):gsub("e([+-])0*(%d)", "e%1%2")) end

-- The width of a text on the screen: without escape sequences.
local function shown_width(text) return utf8.len((text:gsub("\27%[[%d;]*m", ""))) or #text end

-- What the shades of a map or the colours of contour lines mean: from the least to the most.
local function scale_text(panel, layer, coloured)
  local lo, hi = layer.lo, layer.hi
  local contour = layer.kind == "contour"
  if contour then lo, hi = layer.levels[1], layer.levels[#layer.levels] end
  if not lo or layer.classes or panel.texts or panel.noaxes then return nil end
  if contour and not coloured then
    return ("lines from %s to %s"):format(number(lo), number(hi))
  end
  local bar = {}
  for i = contour and PLAIN or 1, coloured and #ramp or #shades do
    bar[#bar + 1] = coloured and colour(ramp[i], "█", true) or shades[i]
  end
  return ("%s %s %s"):format(number(lo), table.concat(bar), number(hi))
end

-- The mark of a series and its name.
local function label_text(layer, coloured, width)
  local mark = layer.glyph or signs[layer.kind] or "●"
  if layer.region then mark = layer.region .. mark .. layer.region end
  return colour(layer.code, mark, coloured) .. " " .. cut(layer.label, width - utf8.len(mark) - 1)
end

local function legend_lines(panel, coloured, width)
  local items, lines, used = {}, {}, 0
  for _, layer in ipairs(panel.layers) do
    local text = scale_text(panel, layer, coloured)
    if text and shown_width(text) <= width then items[#items + 1] = text end
    if layer.label then items[#items + 1] = label_text(layer, coloured, width) end
  end
  for _, text in ipairs(items) do
    local n = shown_width(text)
    if used > 0 and used + 3 + n <= width then
      lines[#lines], used = lines[#lines] .. "   " .. text, used + 3 + n
    else
      lines[#lines + 1], used = text, n
    end
  end
  return lines
end

-- Colours for the series of a panel and, without colour or once the colours are used up,
-- letters.  Returns the map below them, if there is one.
local function dress(panel, coloured)
  local drawn, over = 0, false -- over: lines of equal value, where a path would be lost
  for _, layer in ipairs(panel.layers) do
    if draw[layer.kind] then drawn = drawn + 1 end
    over = over or layer.kind == "contour"
  end
  local k, map = 0, nil
  for _, layer in ipairs(panel.layers) do
    if layer.kind == "map" then map = layer
    elseif layer.kind ~= "contour" then
      k = k + 1
      local n = layer.colour or k
      local letter = (n - 1) % #letters + 1
      local lettered = layer.lettered or over or n > #palette or (not coloured and drawn > 1)
      layer.code = coloured and palette[(n - 1) % #palette + 1] or nil
      layer.glyph = lettered and letters:sub(letter, letter) or nil
      layer.region = map and map.classes and not coloured and hatches[(n - 1) % #hatches + 1] or nil
    end
  end
  return map
end

-- Divides width x height characters: view gets the picture's rows and columns (in dots), the
-- scales, and the texts beside and below the picture.
local function lay_out(view, panel, width, coloured, height)
  local xlo, xhi, ylo, yhi = panel:limits()
  local rows = math.max(panel.noaxes and 2 or 4, height)
  view.y = axis(ylo, yhi, panel.ylog, 4 * rows)
  view.rows, view.ylo = 4 * rows, panel.ylog and ylo or 0
  view.labels, view.margin = y_labels(panel, ylo, yhi, view, rows)
  if panel.noaxes then view.labels, view.margin = {}, 0 end
  local columns = math.max(8, width - view.margin - 2)
  view.x, view.columns = axis(xlo, xhi, panel.xlog, 2 * columns), 2 * columns
  view.under, view.marks = x_labels(panel, xlo, xhi, view, columns)
  view.legend = legend_lines(panel, coloured, columns)
  view.canvas = canvas(columns, rows)
end

-- The axis below a picture, and what is written under it.
local function foot(lines, panel, view, indent)
  local base, columns = {}, view.columns // 2
  for c = 0, columns - 1 do base[c + 1] = view.marks[c] and "┬" or "─" end
  lines[#lines + 1] = (" "):rep(view.margin) .. "└" .. table.concat(base)
  for _, line in ipairs(view.under) do lines[#lines + 1] = indent .. line end
  if panel.xlabel then lines[#lines + 1] = indent .. centred(panel.xlabel, columns) end
  for _, line in ipairs(view.legend) do lines[#lines + 1] = indent .. line end
end

local function panel_lines(panel, width, height, coloured)
  local lines, view, map = {}, {}, dress(panel, coloured)
  local rows = panel.noaxes and height or height - 2
  for _, name in ipairs { "title", "xlabel", "ylabel" } do
    if panel[name] then rows = rows - 1 end
  end
  lay_out(view, panel, width, coloured, rows)
  local more = #view.legend + (panel.noaxes and 0 or #view.under - 1)
  if more > 0 then lay_out(view, panel, width, coloured, rows - more) end
  for _, layer in ipairs(panel.layers) do
    if draw[layer.kind] then draw[layer.kind](view, layer) end
  end
  write_texts(view, panel)
  local indent, labels = (" "):rep(view.margin + 1), view.labels
  if panel.title then lines[1] = indent .. centred(panel.title, view.columns // 2) end
  if panel.ylabel then lines[#lines + 1] = cut(panel.ylabel, width) end
  for r = 0, view.rows // 4 - 1 do
    local text = labels[r] or ""
    local body = map and map_row(view, map, r, coloured) or view.canvas:row(r, coloured)
    local left = (" "):rep(view.margin - utf8.len(text)) .. text
    lines[#lines + 1] = left .. (panel.noaxes and " " or labels[r] and "┤" or "│") .. body
  end
  if not panel.noaxes then foot(lines, panel, view, indent) end
  return lines
end

-- -- figures --------------------------------------------------------------------------------

local function beside(blocks, widths)
  local out, most = {}, 0
  for _, block in ipairs(blocks) do most = math.max(most, #block) end
  for r = 1, most do
    local parts = {}
    for k, block in ipairs(blocks) do
      local line = block[r] or ""
      parts[k] = line .. (" "):rep(math.max(0, widths[k] - shown_width(line)))
    end
    out[r] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  return out
end

--- The lines of a figure, width x height characters; coloured: with escape sequences.
function M.lines(figure, width, height, coloured)
  local columns = math.min(figure.columns or 1, #figure.panels)
  local rows = -(-#figure.panels // columns)
  local w = (width - 2 * (columns - 1)) // columns
  local least = figure.panels[1].noaxes and 4 or 8
  local h = math.max(least, (height - (figure.title and 1 or 0)) // rows)
  local lines = {}
  if figure.title then lines[1] = centred(figure.title, width) end
  for r = 1, rows do
    local blocks, widths = {}, {}
    for c = 1, columns do
      local panel = figure.panels[(r - 1) * columns + c]
      if panel then
        blocks[#blocks + 1], widths[#widths + 1] = panel_lines(panel, w, h, coloured), w
      end
    end
    for _, line in ipairs(beside(blocks, widths)) do lines[#lines + 1] = line end
  end
  return lines
end

return M
