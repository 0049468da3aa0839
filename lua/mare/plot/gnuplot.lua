-- gnuplot.lua -- a figure as a file: svg, png or pdf, drawn by the program gnuplot from the same
-- data as the terminal's picture.  No display is needed.

local check = require "mare.check"
local figure = require "mare.plot.figure"
local scale = require "mare.plot.scale"

local M = {}

local terminals = {
  svg = "svg size %d,%d dynamic background rgb 'white' font 'sans,12'",
  png = "pngcairo size %d,%d font 'sans,10'",
  pdf = "pdfcairo size %.2fin,%.2fin font 'sans,10'",
}

local pale = { "#cfe3f8", "#f9dcc4", "#cfe8d0", "#efd5ef", "#efe4c2", "#f5d0cb", "#c9e6ec",
  "#dddddd" }

local colours = { "#4c9be8", "#e8853a", "#57a85a", "#c86fc9", "#c9a33a", "#d9695f", "#3aa6b9",
  "#7f7f7f" }
local marks = { 7, 5, 9, 13, 11, 15 } -- discs, squares, triangles ... once the colours are used up

local LETTER = 7 -- pixels of a letter, about

-- Text between single quotes, where gnuplot reads nothing but ''.
local function quote(s) return "'" .. s:gsub("'", "''"):gsub("[\n\r]", " ") .. "'" end

local function number(v)
  if not scale.finite(v) then return "NaN" end
  return (("%.9g"):format(v):gsub(",", "."))
end

-- The colour of series k, and how often the colours were used before.
local function style_of(layer, k)
  k = (layer.colour or k) - 1
  return colours[k % #colours + 1], k // #colours
end

local function mark_of(round) return marks[round % #marks + 1] end

-- -- data -----------------------------------------------------------------------------------

local function pairs_block(out, name, x, y)
  out[#out + 1] = name .. " << EOD"
  for i = 1, #x do
    local nan = not (scale.finite(x[i]) and scale.finite(y[i]))
    out[#out + 1] = nan and "" or number(x[i]) .. " " .. number(y[i])
  end
  out[#out + 1] = "EOD"
end

local function grid_block(out, name, layer)
  out[#out + 1] = name .. " << EOD"
  for r, y in ipairs(layer.ys) do
    for c, x in ipairs(layer.xs) do
      out[#out + 1] = number(x) .. " " .. number(y) .. " " .. number(layer.grid[r][c])
    end
    out[#out + 1] = ""
  end
  out[#out + 1] = "EOD"
end

-- -- layers ---------------------------------------------------------------------------------

local clauses = {}

function clauses.line(layer, name, k)
  local colour, round = style_of(layer, k)
  local marked = layer.marks and ("linespoints pt %d ps 0.6"):format(mark_of(round))
  return ("%s using 1:2 with %s lw 2 dt %d lc rgb '%s'"):format(name, marked or "lines",
    round % 5 + 1, colour)
end

function clauses.points(layer, name, k)
  local colour, round = style_of(layer, k)
  return ("%s using 1:2 with points pt %d ps %s lc rgb '%s'"):format(name, mark_of(round),
    number(#layer.x > 2000 and 0.25 or #layer.x < 10 and 1.4 or 0.7), colour)
end

function clauses.bars(layer, name, k)
  return ("%s using 1:2:(%s) with boxes fs solid 0.8 noborder lc rgb '%s'"):format(name,
    number(layer.width * (layer.gap and 0.85 or 1)), (style_of(layer, k)))
end

function clauses.map(layer, name) -- pixels show seams where they are many, an image is smooth
  return name .. " using 1:2:3 with image" .. (#layer.xs * #layer.ys <= 1600 and " pixels" or "")
end

function clauses.contour(_, name)
  return name .. " using 1:2:3 with lines lw 1.5 lc palette"
end

local function title_of(layer, box)
  return layer.label and "title " .. quote(figure.cut(layer.label, box.width // LETTER - 12))
    or "notitle"
end

-- Contour lines are computed by gnuplot from the grid, into a table.
local function contour_table(out, name, layer)
  grid_block(out, name .. "g", layer)
  local levels = {}
  for i, v in ipairs(layer.levels) do levels[i] = number(v) end
  for _, line in ipairs {
    "set table " .. name, "unset surface", "set contour base",
    "set cntrparam levels discrete " .. table.concat(levels, ","),
    ("splot %sg using 1:2:3"):format(name), "unset table", "set surface", "unset contour",
  } do
    out[#out + 1] = line
  end
end

local function palette(out, panel, map)
  if map.classes then
    local parts = {}
    for k = 1, map.classes do
      parts[k] = ("%d '%s'"):format(k, pale[(k - 1) % #pale + 1])
    end
    if map.classes == 1 then parts[2] = "2 '" .. pale[2] .. "'" end
    out[#out + 1] = ("set palette defined (%s)"):format(table.concat(parts, ", "))
    out[#out + 1] = ("set cbrange [1:%d]"):format(math.max(map.classes, 2))
    out[#out + 1] = "unset colorbox"
  else
    out[#out + 1] = map.grey and "set palette gray" or "set palette defined " ..
      "(0 '#3a0a5e', 1 '#3b528b', 2 '#21918c', 3 '#5ec962', 4 '#fde725')"
    local lo, hi = map.lo or map.levels[1], map.hi or map.levels[#map.levels]
    out[#out + 1] = ("set cbrange [%s:%s]"):format(number(lo), number(hi > lo and hi or lo + 1))
    local bare = panel.colorbox == false or panel.surface
    if map.levels and lo > 0 and hi / lo > 50 then out[#out + 1] = "set logscale cb" end
    out[#out + 1] = bare and "unset colorbox" or "set colorbox"
  end
end

-- -- panels ---------------------------------------------------------------------------------

-- Ticks with a text each; those of `small` have none.
local function ticks(axis, at, text, small, slanted)
  local parts = {}
  for i, v in ipairs(at) do
    parts[i] = quote(figure.cut(text[i], slanted and 16 or 24)) .. " " .. number(v)
  end
  for _, v in ipairs(small or {}) do parts[#parts + 1] = ("'' %s 1"):format(number(v)) end
  return ("set %stics (%s) noenhanced%s"):format(axis, table.concat(parts, ", "),
    slanted and " rotate by 35 right" or "")
end

local function letters(list)
  local n = 0
  for _, text in ipairs(list) do n = n + 2 + (utf8.len(text) or #text) end
  return n
end

-- An axis named x or y over `pixels`: its range and its ticks.
local function axis(out, panel, name, lo, hi, pixels)
  local log, named = panel[name .. "log"], panel[name .. "names"]
  if log then out[#out + 1] = "set logscale " .. name end
  out[#out + 1] = ("set %srange [%s:%s]"):format(name, number(lo), number(hi))
  if named then
    local slanted = name == "x" and letters(named.text) * LETTER > pixels * 0.8
    out[#out + 1] = ticks(name, named.at, named.text, nil, slanted)
  else
    local at, text = scale.ticks(lo, hi, math.max(2, pixels // (name == "x" and 90 or 60)), log)
    out[#out + 1] = ticks(name, at, text, log and scale.small_ticks(lo, hi))
  end
end

local function frame(out, panel, box)
  local xlo, xhi, ylo, yhi = panel:limits()
  for _, line in ipairs { "reset", "set border lc rgb '#555555'", "set tics nomirror out",
    "unset key" } do
    out[#out + 1] = line
  end
  for _, name in ipairs { "title", "xlabel", "ylabel", "zlabel" } do
    local pixels = (name == "title" or name == "xlabel") and box.width or box.height
    if panel[name] then
      local text = quote(figure.cut(panel[name], pixels // LETTER))
      out[#out + 1] = ("set %s %s noenhanced%s"):format(name, text,
        name == "xlabel" and not panel.surface and " offset 0,0.5" or "")
    end
  end
  if panel.surface then return end
  axis(out, panel, "x", xlo, xhi, box.width)
  axis(out, panel, "y", ylo, yhi, box.height)
  if panel.equal then out[#out + 1] = "set size ratio -1" end
  if panel.noaxes then
    out[#out + 1] = "unset tics\nunset border\nset margins 0.5,0.5,0.5,"
      .. (panel.title and "2.5" or "0.5")
  end
end

local function texts(out, panel)
  for i, t in ipairs(panel.texts or {}) do
    out[#out + 1] = ("set label %d %s at %s,%s center front tc rgb '%s' noenhanced"):format(i,
      quote(t.text), number(t.x), number(t.y), t.colour or "black")
  end
end

-- What one layer adds to the data and to the command `plot`; k counts the series.
local function layer_script(out, parts, panel, layer, name, k, box)
  if layer.kind == "map" or layer.kind == "contour" then
    local write = layer.kind == "map" and grid_block or contour_table
    write(out, name, layer)
    palette(out, panel, layer)
  else
    pairs_block(out, name, layer.x, layer.y)
  end
  parts[#parts + 1] = clauses[layer.kind](layer, name, k) .. " " .. title_of(layer, box)
  if layer.kind ~= "line" or layer.marks then return end
  local x, y = panel:lonely(layer)
  if #x > 0 then
    pairs_block(out, name .. "l", x, y)
    local points = { x = x, colour = layer.colour }
    parts[#parts + 1] = clauses.points(points, name .. "l", k) .. " notitle"
  end
end

-- box is the part of the picture that the panel gets, { width, height } in pixels.
local function panel_script(out, panel, index, box)
  frame(out, panel, box)
  texts(out, panel)
  local parts, k, keyed = {}, 0, false
  for i, layer in ipairs(panel.layers) do
    if layer.kind ~= "map" and layer.kind ~= "contour" then k = k + 1 end
    layer_script(out, parts, panel, layer, ("$d%d_%d"):format(index, i), k, box)
    keyed = keyed or layer.label ~= nil
  end
  if #parts == 0 then parts[1] = "NaN notitle" end -- axes alone
  if keyed then -- height 1 keeps it clear of the label of the x axis
    out[#out + 1] = "set key bmargin center horizontal samplen 2 width 1 height 1 noenhanced"
  end
  if panel.surface then
    out[#out + 1] = "set hidden3d\nset pm3d depthorder border lw 0.3"
    out[#out + 1] = ("splot $d%d_1 using 1:2:3 with pm3d notitle"):format(index)
  else
    out[#out + 1] = "plot " .. table.concat(parts, ", \\\n  ")
  end
end

--- The gnuplot program that draws a figure to a file.
function M.script(fig, path, kind, width, height)
  local out = {}
  local w, h = width, height
  if kind == "pdf" then w, h = width / 96, height / 96 end
  out[1] = "set encoding utf8"
  out[2] = "set terminal " .. terminals[kind]:format(w, h):gsub("(%d),(%d%d)in", "%1.%2in")
  out[3] = "set output " .. quote(path)
  local columns = math.min(fig.columns or 1, #fig.panels)
  local rows = -(-#fig.panels // columns)
  local many = #fig.panels > 1
  if many then
    out[#out + 1] = ("set multiplot layout %d,%d%s"):format(rows, columns, fig.title and
      " title " .. quote(figure.cut(fig.title, width // LETTER)) .. " noenhanced" or "")
  end
  local box = { width = width // columns, height = height // rows }
  for i, panel in ipairs(fig.panels) do panel_script(out, panel, i, box) end
  if many then out[#out + 1] = "unset multiplot" end
  out[#out + 1] = "unset output"
  return table.concat(out, "\n") .. "\n"
end

local function run(path)
  local pipe = io.popen(("LC_ALL=C.UTF-8 gnuplot '%s' 2>&1"):format(path))
  local text = pipe:read "a"
  local ok, _, code = pipe:close()
  return ok, text, code
end

--- Draws a figure to path (.svg, .png, .pdf); returns true, or nil and a message.
function M.save(fig, path, width, height)
  local kind = type(path) == "string" and path:match "%.(%a+)$"
  if not kind or not terminals[kind:lower()] then
    check.argument(1, "save", "a path that ends in .svg, .png or .pdf expected, got %s",
      type(path) == "string" and "'" .. path .. "'" or type(path))
  end
  local probe, message = io.open(path, "wb") -- gnuplot would say less about what is wrong
  if not probe then return nil, message end
  probe:close()
  local name = os.tmpname()
  local file, problem = io.open(name, "w")
  if not file then return nil, problem end
  file:write(M.script(fig, path, kind:lower(), width, height))
  file:close()
  local ok, text, code = run(name)
  os.remove(name)
  if ok then return true end
  os.remove(path)
  if code == 127 then
    return nil, "gnuplot is not installed; Debian's package is gnuplot-nox"
  end
  return nil, ("gnuplot: %s"):format((text:gsub("%s+$", "")))
end

return M
