-- thumbnail.lua -- a figure as a small SVG of a few kilobytes, for the index of the examples:
-- curves, points, bars and maps without axes or words.
--
--     dofile "examples/thumbnail.lua"(fig, "examples/small/03-descent.svg")

local colours = { "#4c9be8", "#e8853a", "#57a85a", "#c86fc9", "#c9a33a", "#d9695f", "#3aa6b9",
  "#7f7f7f" }
local pale = { "#cfe3f8", "#f9dcc4", "#cfe8d0", "#efd5ef", "#efe4c2", "#f5d0cb", "#c9e6ec", "#ddd" }
local cold = { "#3a0a5e", "#3b528b", "#2b728c", "#21918c", "#40ac78", "#5ec962", "#aed644",
  "#fde725" }
local width, most = 160, 400

-- Places in a panel: x, y (numbers of the data) -> whole points of the picture.
local function places(panel, box)
  local xlo, xhi, ylo, yhi = panel:limits()
  local function part(v, lo, hi, log)
    if log then v, lo, hi = math.log(v), math.log(lo), math.log(hi) end
    return math.min(1, math.max(0, (v - lo) / (hi > lo and hi - lo or 1)))
  end
  return function(x, y)
    if x ~= x or y ~= y or panel.xlog and x <= 0 or panel.ylog and y <= 0 then return nil end
    return math.floor(box.x + box.w * part(x, xlo, xhi, panel.xlog) + 0.5),
      math.floor(box.y + box.h * (1 - part(y, ylo, yhi, panel.ylog)) + 0.5)
  end
end

local draw = {}

function draw.line(layer, at, colour)
  local parts, lx, ly = {}, nil, nil
  local each = math.max(1, #layer.x // most)
  for i = 1, #layer.x, each do
    local x, y = at(layer.x[i], layer.y[i])
    if x and (x ~= lx or y ~= ly) then
      parts[#parts + 1] = ("%s%d %d"):format(lx and "L" or "M", x, y)
    end
    lx, ly = x, y
  end
  return ('<path fill="none" stroke="%s" d="%s"/>'):format(colour, table.concat(parts))
end

function draw.points(layer, at, colour)
  local parts, seen = {}, {}
  for i = 1, #layer.x, math.max(1, #layer.x // most) do
    local x, y = at(layer.x[i], layer.y[i])
    local place = x and ("M%d %dh1"):format(x, y)
    if place and not seen[place] then
      seen[place], parts[#parts + 1] = true, place
    end
  end
  return ('<path stroke="%s" stroke-width="2" d="%s"/>'):format(colour, table.concat(parts))
end

function draw.bars(layer, at, colour)
  local parts = {}
  for i, v in ipairs(layer.x) do
    local x0, y0 = at(v - layer.width * 0.4, 0)
    local x1, y1 = at(v + layer.width * 0.4, layer.y[i])
    parts[i] = ("M%d %dV%dH%dV%dz"):format(x0, y0, y1, x1, y0)
  end
  return ('<path fill="%s" stroke="none" d="%s"/>'):format(colour, table.concat(parts))
end

-- The colours of a map or of the ground between levels, and the colour of a value.
local function shades(layer)
  if layer.classes then return pale, function(v) return (v - 1) % #pale + 1 end end
  if layer.levels then
    return cold, function(v)
      local k = 0
      for i, level in ipairs(layer.levels) do k = v >= level and i or k end
      return 1 + math.floor(k * 7 / #layer.levels + 0.5)
    end
  end
  local list = cold
  if layer.grey then
    list = {}
    for k = 0, 7 do list[k + 1] = ("#%02x%02x%02x"):format(k * 36, k * 36, k * 36) end
  end
  local lo, span = layer.lo, layer.hi > layer.lo and layer.hi - layer.lo or 1
  return list, function(v) return 1 + math.floor((v - lo) / span * 7 + 0.5) end
end

-- Cells of one colour in a path, neighbours in a row as one.
local function cells(layer, box)
  local list, shade = shades(layer)
  local ny, nx = #layer.grid, #layer.grid[1]
  local rows, columns = math.min(ny, box.h // 3), math.min(nx, box.w // 3)
  local paths = {}
  local function x_of(c) return math.floor(box.x + box.w * c / columns + 0.5) end
  local function y_of(r) return math.floor(box.y + box.h * (1 - r / rows) + 0.5) end
  for r = 0, rows - 1 do
    local row, c = layer.grid[1 + r * ny // rows], 0
    while c < columns do
      local k, from = shade(row[1 + c * nx // columns]), c
      repeat c = c + 1 until c == columns or shade(row[1 + c * nx // columns]) ~= k
      paths[k] = (paths[k] or "") .. ("M%d %dH%dV%dH%dz"):format(x_of(from), y_of(r), x_of(c),
        y_of(r + 1), x_of(from))
    end
  end
  local out = {}
  for k, path in pairs(paths) do
    out[#out + 1] = ('<path shape-rendering="crispEdges" stroke="none" fill="%s" d="%s"/>')
      :format(list[k] or "#888", path)
  end
  table.sort(out)
  return table.concat(out, "\n")
end

local function panel_of(panel, box)
  local out, at, k = {}, places(panel, box), 0
  for _, layer in ipairs(panel.layers) do
    if layer.grid then
      out[#out + 1] = cells(layer, box)
    else
      k = k + 1
      out[#out + 1] = draw[layer.kind](layer, at, colours[((layer.colour or k) - 1) % #colours + 1])
    end
  end
  if not panel.noaxes then
    out[#out + 1] = ('<path fill="none" stroke="#999" d="M%d %dh%dv%dh-%dz"/>'):format(box.x, box.y,
      box.w, box.h, box.w)
  end
  return table.concat(out, "\n")
end

return function(fig, path)
  local columns = math.min(fig.columns or 1, #fig.panels)
  local rows = -(-#fig.panels // columns)
  local w = width // columns
  local h = fig.panels[1].equal and w or math.max(w * 3 // 4, 20)
  local out = { ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d">')
    :format(width, h * rows), '<rect width="100%" height="100%" fill="#fff"/>' }
  for i, panel in ipairs(fig.panels) do
    out[#out + 1] = panel_of(panel, { x = (i - 1) % columns * w + 2,
      y = (i - 1) // columns * h + 2, w = w - 4, h = h - 4 })
  end
  out[#out + 1] = "</svg>\n"
  local file = assert(io.open(path, "w"))
  file:write(table.concat(out, "\n"))
  file:close()
end
