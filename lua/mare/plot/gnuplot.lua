-- gnuplot.lua -- a figure as a file: svg, png or pdf, drawn by the program gnuplot from the same
-- data as the terminal's picture.  No display is needed.

local check = require "mare.check"
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

-- Text between single quotes, where gnuplot reads nothing but ''.
local function quote(s) return "'" .. s:gsub("'", "''"):gsub("[\n\r]", " ") .. "'" end

local function number(v)
  if not scale.finite(v) then return "NaN" end
  return (("%.9g"):format(v):gsub(",", "."))
end

local function colour_of(layer, k) return colours[((layer.colour or k) - 1) % #colours + 1] end

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
  return ("%s using 1:2 with %s lw 2 lc rgb '%s'"):format(name,
    layer.marks and "linespoints pt 7 ps 0.6" or "lines", colour_of(layer, k))
end

function clauses.points(layer, name, k)
  return ("%s using 1:2 with points pt 7 ps %s lc rgb '%s'"):format(name,
    number(layer.size or (#layer.x > 2000 and 0.25 or 0.7)), colour_of(layer, k))
end

function clauses.bars(layer, name, k)
  return ("%s using 1:2:(%s) with boxes fs solid 0.8 noborder lc rgb '%s'"):format(name,
    number(layer.width * (layer.gap and 0.85 or 1)), colour_of(layer, k))
end

function clauses.map(layer, name) -- pixels show seams where they are many, an image is smooth
  return name .. " using 1:2:3 with image" .. (#layer.xs * #layer.ys <= 1600 and " pixels" or "")
end

function clauses.contour(_, name)
  return name .. " using 1:2:3 with lines lw 1.5 lc palette"
end

local function title_of(layer)
  return layer.label and "title " .. quote(layer.label) or "notitle"
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

local function names(axis, list)
  local parts = {}
  for i, v in ipairs(list.at) do parts[i] = quote(list.text[i]) .. " " .. number(v) end
  return ("set %stics (%s)%s"):format(axis, table.concat(parts, ", "),
    axis == "x" and #parts > 6 and " rotate by -35" or "")
end

local function frame(out, panel)
  local xlo, xhi, ylo, yhi = panel:limits()
  for _, line in ipairs { "reset", "set border lc rgb '#555555'", "set tics nomirror out",
    "unset key" } do
    out[#out + 1] = line
  end
  for _, name in ipairs { "title", "xlabel", "ylabel", "zlabel" } do
    if panel[name] then
      out[#out + 1] = ("set %s %s noenhanced"):format(name, quote(panel[name]))
    end
  end
  if panel.xlog then out[#out + 1] = "set logscale x" end
  if panel.ylog then out[#out + 1] = "set logscale y" end
  if panel.surface then return end
  out[#out + 1] = ("set xrange [%s:%s]"):format(number(xlo), number(xhi))
  out[#out + 1] = ("set yrange [%s:%s]"):format(number(ylo), number(yhi))
  if panel.equal then out[#out + 1] = "set size ratio -1" end
  if panel.noaxes then out[#out + 1] = "unset tics\nunset border" end
  if panel.xnames then out[#out + 1] = names("x", panel.xnames) end
  if panel.ynames then out[#out + 1] = names("y", panel.ynames) end
end

local function texts(out, panel)
  for i, t in ipairs(panel.texts or {}) do
    out[#out + 1] = ("set label %d %s at %s,%s center front tc rgb '%s' noenhanced"):format(i,
      quote(t.text), number(t.x), number(t.y), t.colour or "black")
  end
end

local function panel_script(out, panel, index)
  frame(out, panel)
  texts(out, panel)
  local parts, k, keyed = {}, 0, false
  for i, layer in ipairs(panel.layers) do
    local name = ("$d%d_%d"):format(index, i)
    if layer.kind == "map" or layer.kind == "contour" then
      local write = layer.kind == "map" and grid_block or contour_table
      write(out, name, layer)
      palette(out, panel, layer)
    else
      k = k + 1
      pairs_block(out, name, layer.x, layer.y)
    end
    keyed = keyed or layer.label ~= nil
    parts[#parts + 1] = clauses[layer.kind](layer, name, k) .. " " .. title_of(layer)
  end
  if keyed then out[#out + 1] = "set key tmargin center horizontal samplen 2 noenhanced" end
  if panel.surface then
    out[#out + 1] = "set hidden3d\nset pm3d depthorder border lw 0.3"
    out[#out + 1] = ("splot $d%d_1 using 1:2:3 with pm3d notitle"):format(index)
  else
    out[#out + 1] = "plot " .. table.concat(parts, ", \\\n  ")
  end
end

--- The gnuplot program that draws a figure to a file.
function M.script(figure, path, kind, width, height)
  local out = {}
  local w, h = width, height
  if kind == "pdf" then w, h = width / 96, height / 96 end
  out[1] = "set encoding utf8"
  out[2] = "set terminal " .. terminals[kind]:format(w, h):gsub("(%d),(%d%d)in", "%1.%2in")
  out[3] = "set output " .. quote(path)
  local columns = math.min(figure.columns or 1, #figure.panels)
  local many = #figure.panels > 1
  if many then
    out[#out + 1] = ("set multiplot layout %d,%d%s"):format(-(-#figure.panels // columns), columns,
      figure.title and " title " .. quote(figure.title) or "")
  end
  for i, panel in ipairs(figure.panels) do panel_script(out, panel, i) end
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
function M.save(figure, path, width, height)
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
  file:write(M.script(figure, path, kind:lower(), width, height))
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
