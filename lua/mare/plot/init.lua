-- plot -- pictures: curves, points, bars, images, maps, and what experiments are looked at with.
-- Every function returns a figure: fig:show() draws it in the terminal, fig:save "f.svg" (png,
-- pdf) to a file.  Data are tensors or lists of numbers.
--
--     mare.plot.line(x, x:sin(), { title = "sine" }):show()

local mare = require "mare"
local check = require "mare.check"
local figure = require "mare.plot.figure"
local scale = require "mare.plot.scale"

local M = { is_figure = figure.is_figure }

-- -- arguments ------------------------------------------------------------------------------

local function options(position, name, opts, more)
  local known = {}
  for k in pairs(figure.options) do known[k] = true end
  for k in pairs(more or {}) do known[k] = true end
  check.options(position, name, opts, known)
  opts = opts or {}
  for _, k in ipairs { "labels", "titles", "rows", "names" } do
    if opts[k] ~= nil and type(opts[k]) ~= "table" then
      check.argument(position, name, "%s: a list expected, got %s", k, check.kind(opts[k]))
    end
  end
  for k, kind in pairs(figure.options) do
    if opts[k] ~= nil and type(opts[k]) ~= kind then
      check.argument(position, name, "%s: %s expected, got %s", k, kind, check.kind(opts[k]))
    end
    if kind == "table" and opts[k] then
      local lo, hi = opts[k][1], opts[k][2]
      if type(lo) ~= "number" or type(hi) ~= "number" or lo ~= lo or hi ~= hi or
          lo >= hi then
        check.argument(position, name, "%s: { lo, hi } expected", k)
      elseif opts[k:sub(1, 1) .. "log"] and lo <= 0 then
        check.argument(position, name, "%s: an axis with logarithms begins above 0, not at %g", k,
          lo)
      end
    end
  end
  return opts
end

-- A tensor of numbers (f64, on its own) from a tensor or a list.
local function tensor(position, name, v, dims)
  if type(v) == "table" and not getmetatable(v) then
    v = #v == 0 and mare.zeros({ 0 }, "f64") or check.list(position, name, v, "f64")
  elseif type(v) == "number" then
    v = mare.tensor({ v }, "f64")
  end
  if not mare.is_tensor(v) or v:isclosed() then
    check.argument(position, name, "tensor or list of numbers expected, got %s", check.kind(v))
  end
  v = v:detach():to "f64"
  if dims and v:dim() ~= dims then
    check.argument(position, name, "%d-d values expected, got shape %s", dims, check.shape(v))
  end
  return v
end

local function is_options(v)
  return type(v) == "table" and getmetatable(v) == nil and #v == 0 and next(v) ~= nil
end

local function one(panel) return figure.new { panel } end

-- Entry k of a list of labels as text, or nil.
local function named(labels, k)
  local v = labels and labels[k]
  return v ~= nil and tostring(v) or nil
end

local function same_length(position, name, x, y)
  if x:numel() ~= y:numel() then
    check.argument(position, name, "%d values of y for %d of x", y:numel(), x:numel())
  end
end

-- -- curves and points ----------------------------------------------------------------------

local function add_line(panel, name, x, y, label, marks)
  same_length(2, name, x, y)
  local px, py = scale.thin_line(x, y)
  panel.layers[#panel.layers + 1] = { kind = "line", x = px, y = py, label = label,
    marks = marks }
end

-- Is v a list of series (tensors or lists)?
local function several(v)
  return type(v) == "table" and not getmetatable(v) and (mare.is_tensor(v[1]) or
    type(v[1]) == "table")
end

--- Curves: line(y), line(x, y), line({ y1, y2 }) or line(x, { y1, y2 }), with options last:
-- labels (a list), title, xlabel, ylabel, xlog, ylog, xlim, ylim ({ lo, hi }), marks (points too).
-- `mare.plot.line(x, { x:sin(), x:cos() }, { labels = { "sin", "cos" } }):show()`
function M.line(x, y, opts)
  if y == nil or is_options(y) then x, y, opts = nil, x, y end
  opts = options(3, "line", opts, { labels = true, marks = true })
  local panel = figure.panel(opts)
  local list = several(y) and y or { y }
  for i, v in ipairs(list) do
    local t = tensor(x == nil and 1 or 2, "line", v, 1)
    local at = x ~= nil and tensor(1, "line", several(x) and x[i] or x, 1)
      or (t:numel() > 0 and mare.arange(1, t:numel(), "f64") or t)
    add_line(panel, "line", at, t, named(opts.labels, i), opts.marks)
  end
  return one(panel)
end

-- Points by class: y labels of any whole numbers.
local function add_points(panel, x, y, classes, labels)
  if not classes then
    local px, py = scale.thin_points(x, y)
    panel.layers[#panel.layers + 1] = { kind = "points", x = px, y = py,
      label = named(labels, 1) }
    return
  end
  local seen, list = {}, {}
  for _, c in ipairs(classes:totable()) do
    if not seen[c] then seen[c], list[#list + 1] = true, c end
  end
  table.sort(list)
  for k, c in ipairs(list) do
    local mask = classes:eq(c)
    local px, py = scale.thin_points(x:masked_select(mask), y:masked_select(mask))
    panel.layers[#panel.layers + 1] = { kind = "points", x = px, y = py, colour = k,
      label = named(labels, k) or ("%d"):format(c) }
  end
end

local function labels_of(position, name, classes, n)
  if classes == nil then return nil end
  local function refuse(got)
    check.argument(position, name,
      "classes: one whole number for each of %d points expected, got %s", n, got)
  end
  if type(classes) == "table" then
    if #classes ~= n then refuse(("a list of %d"):format(#classes)) end
    for i, c in ipairs(classes) do
      if not math.tointeger(c) then refuse(("#%d = %s"):format(i, check.text(c))) end
    end
    return mare.tensor(classes, "i64")
  end
  if not mare.is_tensor(classes) then refuse(check.kind(classes)) end
  if classes:numel() ~= n then refuse("shape " .. check.shape(classes)) end
  local whole = classes:to "i64"
  local odd = whole:to(classes.dtype):ne(classes)
  if odd:any():item() == 1 then refuse(check.text(classes[odd][1]:item())) end
  return whole
end

--- Points: scatter(x, y) or scatter(xy) with xy (n, 2).  Options: classes (n whole numbers: a
-- colour for each), labels (names of the classes), and those of line.
-- `mare.plot.scatter(xy, { classes = y, labels = { "no", "yes" } }):show()`
function M.scatter(x, y, opts)
  if y == nil or is_options(y) then
    opts = y
    x = tensor(1, "scatter", x, 2)
    if x:size(2) ~= 2 then
      check.argument(1, "scatter", "points (n, 2) expected, got shape %s", check.shape(x))
    end
    x, y = x:select(2, 1):contiguous(), x:select(2, 2):contiguous()
  else
    x, y = tensor(1, "scatter", x, 1), tensor(2, "scatter", y, 1)
  end
  opts = options(3, "scatter", opts, { classes = true, labels = true })
  same_length(2, "scatter", x, y)
  local panel = figure.panel(opts)
  add_points(panel, x, y, labels_of(3, "scatter", opts.classes, x:numel()), opts.labels)
  return one(panel)
end

--- How often values fall into each of `bins` (20) intervals; what is not finite is left out.
-- `mare.plot.hist(mare.randn(1000), { bins = 30 }):show()`
function M.hist(x, opts)
  opts = options(2, "hist", opts, { bins = true })
  local bins = check.count(2, "hist", opts.bins or 20, nil, "bins")
  x = tensor(1, "hist", x):reshape(-1)
  x = x:masked_select(x:sub(x):eq(0))
  local panel = figure.panel(opts)
  panel.ylabel = panel.ylabel or "count"
  if x:numel() == 0 then return one(panel) end
  local lo, hi = x:min():item(), x:max():item()
  if lo == hi then lo, hi = scale.padded(lo, hi) end
  local width = (hi - lo) / bins
  local place = ((x - lo) / width):floor():clamp(0, bins - 1):to "i64" + 1
  local counts = mare.zeros({ bins }, "f64"):index_add(1, place, mare.ones({ x:numel() }, "f64"))
  local at = {}
  for i = 1, bins do at[i] = lo + (i - 0.5) * width end
  panel.layers[1] = { kind = "bars", x = at, y = counts:totable(), width = width }
  return one(panel)
end

--- Bars: a list of values, with labels (names below them).
-- `mare.plot.bar({ 3, 5, 2 }, { labels = { "a", "b", "c" } }):show()`
function M.bar(values, opts)
  opts = options(2, "bar", opts, { labels = true })
  local y = tensor(1, "bar", values, 1):totable()
  local panel, at = figure.panel(opts), {}
  for i = 1, #y do at[i] = i end
  panel.layers[1] = { kind = "bars", x = at, y = y, width = 1, gap = true }
  local text = {}
  for i = 1, #y do text[i] = tostring(opts.labels and opts.labels[i] or i) end
  if opts.labels or #y <= 12 then panel.xnames = { at = at, text = text } end
  return one(panel)
end

-- -- maps -----------------------------------------------------------------------------------

local function count_to(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- A layer from rows of numbers, the first row at the top unless ys are given.
local function map_layer(rows, more)
  local layer = { kind = "map", grid = rows, xs = count_to(#rows[1]), ys = count_to(#rows) }
  for k, v in pairs(more) do layer[k] = v end
  local lo, hi = scale.range(rows)
  layer.lo, layer.hi = layer.lo or lo or 0, layer.hi or hi or 1
  local nx, ny = #layer.xs, #layer.ys
  local dx = nx > 1 and (layer.xs[nx] - layer.xs[1]) / (nx - 1) or 1
  local dy = ny > 1 and (layer.ys[ny] - layer.ys[1]) / (ny - 1) or 1
  layer.x0, layer.x1 = layer.xs[1] - dx / 2, layer.xs[nx] + dx / 2
  layer.y0, layer.y1 = layer.ys[1] - dy / 2, layer.ys[ny] + dy / 2
  return layer
end

-- Rows of a matrix from the last to the first: pictures are written from the top.
local function upside_down(rows)
  local out = {}
  for i = #rows, 1, -1 do out[#out + 1] = rows[i] end
  return out
end

local function image_panel(name, t, title)
  if t:dim() == 3 and (t:size(1) == 1 or t:size(3) == 1) then t = t:squeeze() end
  if t:dim() == 3 and t:size(3) == 3 then t = t:mean(3) end
  if t:dim() ~= 2 or t:numel() == 0 then
    check.argument(1, name, "images (height, width) or (height, width, 3) expected, got shape %s",
      check.shape(t))
  end
  local panel = figure.panel { title = title }
  panel.layers[1] = map_layer(upside_down(t:totable()), { grey = true })
  panel.equal, panel.noaxes, panel.colorbox = true, true, false
  return panel
end

--- An image (height, width), grey, the first row at the top; or several, (n, height, width) or a
-- list, as a grid.  Colour images (height, width, 3) are shown by their brightness.  Options:
-- titles (a list), columns, title.
-- `mare.plot.image(images:narrow(1, 1, 12), { columns = 6 }):show()`
function M.image(t, opts)
  opts = options(2, "image", opts, { titles = true, columns = true })
  local list = {}
  if type(t) == "table" and not getmetatable(t) then
    for i, v in ipairs(t) do list[i] = tensor(1, "image", v) end
  else
    t = tensor(1, "image", t)
    local grid = t:dim() == 4 or (t:dim() == 3 and t:size(3) ~= 3 and t:size(3) ~= 1)
    if grid then
      for i = 1, t:size(1) do list[i] = t[i] end
    else
      list[1] = t
    end
  end
  if #list == 0 then check.argument(1, "image", "no image") end
  local panels = {}
  for i, v in ipairs(list) do
    panels[i] = image_panel("image", v, opts.titles and tostring(opts.titles[i]) or nil)
  end
  if #panels == 1 then panels[1].title = opts.title or panels[1].title end
  local columns = opts.columns or math.ceil(math.sqrt(#panels * 4 / 3)) -- files are 4 to 3
  return figure.new(panels, check.count(2, "image", columns), #panels > 1 and opts.title or nil)
end

--- A matrix as colours, its first row at the top.  Options: rows, columns (names), and those
-- of line.  `mare.plot.heatmap(w):show()`
function M.heatmap(t, opts)
  opts = options(2, "heatmap", opts, { rows = true, columns = true })
  t = tensor(1, "heatmap", t, 2)
  if t:numel() == 0 then check.argument(1, "heatmap", "no values (shape %s)", check.shape(t)) end
  local panel = figure.panel(opts)
  local n = t:size(1)
  panel.layers[1] = map_layer(upside_down(t:totable()), {})
  local at, text = {}, {}
  local each = math.max(1, n // 10)
  for i = 1, n, opts.rows and 1 or each do
    at[#at + 1], text[#text + 1] = n + 1 - i, tostring(opts.rows and opts.rows[i] or i)
  end
  panel.ynames = { at = at, text = text }
  if opts.columns then
    text = {}
    for i = 1, t:size(2) do text[i] = tostring(opts.columns[i]) end
    panel.xnames = { at = count_to(t:size(2)), text = text }
  end
  return one(panel)
end

-- -- functions of two variables -------------------------------------------------------------

local grid_options = { x = true, y = true, points = true, levels = true, path = true, paths = true }

local function interval(position, name, opts, key)
  local v = opts[key] or { -1, 1 }
  local lo, hi = table.unpack(type(v) == "table" and v or {})
  if type(lo) ~= "number" or type(hi) ~= "number" or lo >= hi or lo ~= lo or hi ~= hi then
    check.argument(position, name, "%s: { lo, hi } expected", key)
  end
  return lo, hi
end

local function spaced(lo, hi, n)
  local list = {}
  for i = 1, n do list[i] = lo + (hi - lo) * (i - 1) / (n - 1) end
  return list
end

-- The values of a function (x, y numbers -> number) or a matrix over a grid.
local function grid_of(name, f, opts)
  local xlo, xhi = interval(2, name, opts, "x")
  local ylo, yhi = interval(2, name, opts, "y")
  if type(f) ~= "function" then
    local t = tensor(1, name, f, 2)
    if t:size(1) < 2 or t:size(2) < 2 then
      check.argument(1, name, "at least 2 x 2 values expected, got shape %s", check.shape(t))
    end
    return t:totable(), spaced(xlo, xhi, t:size(2)), spaced(ylo, yhi, t:size(1))
  end
  local n = check.count(2, name, opts.points or 60, 2, "points")
  local xs, ys, rows = spaced(xlo, xhi, n), spaced(ylo, yhi, n), {}
  for r, y in ipairs(ys) do
    rows[r] = {}
    for c, x in ipairs(xs) do
      local v = f(x, y)
      if mare.is_tensor(v) and v:numel() == 1 then v = v:item() end
      if type(v) ~= "number" then
        check.argument(1, name, "the function returned a %s, not a number", check.kind(v))
      end
      rows[r][c] = v
    end
  end
  return rows, xs, ys
end

local function levels_of(name, opts, rows)
  if type(opts.levels) == "table" then return tensor(2, name, opts.levels, 1):totable() end
  local n = check.count(2, name, opts.levels or 10, nil, "levels")
  local lo, hi = scale.range(rows)
  local list = {}
  for k = 1, n do list[k] = (lo or 0) + ((hi or 1) - (lo or 0)) * k / (n + 1) end
  return list
end

local function add_paths(panel, name, opts)
  local paths = opts.paths or (opts.path and { path = opts.path }) or {}
  local names = {}
  for k in pairs(paths) do names[#names + 1] = k end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(names) do
    local t = tensor(2, name, paths[k], 2)
    panel.layers[#panel.layers + 1] = { kind = "line", marks = t:size(1) <= 100,
      x = t:select(2, 1):contiguous():totable(), y = t:select(2, 2):contiguous():totable(),
      label = type(k) == "string" and k ~= "path" and k or nil }
  end
end

--- Lines of equal value of a function of two numbers, or of a matrix whose rows go up with y.
-- Options: x, y ({ lo, hi }, -1 to 1), points (60), levels (10, or a list), path or paths (n, 2):
-- steps of a descent drawn over it, paths by name (a mark for each step, of at most 100).
-- `mare.plot.contour(function(w, b) return loss(w, b) end, { x = { -2, 2 }, path = steps }):show()`
function M.contour(f, opts)
  opts = options(2, "contour", opts, grid_options)
  local rows, xs, ys = grid_of("contour", f, opts)
  local panel = figure.panel(opts)
  panel.layers[1] = { kind = "contour", grid = rows, xs = xs, ys = ys,
    levels = levels_of("contour", opts, rows) }
  add_paths(panel, "contour", opts)
  return one(panel)
end

--- A function of two numbers or a matrix as a surface; in a terminal as a map of its heights.
-- Options as for contour.
function M.surface(f, opts)
  opts = options(2, "surface", opts, grid_options)
  local rows, xs, ys = grid_of("surface", f, opts)
  local panel = figure.panel(opts)
  panel.layers[1] = map_layer(rows, { xs = xs, ys = ys })
  panel.surface = true
  return one(panel)
end

-- -- models ---------------------------------------------------------------------------------

--- A confusion table (mare.metrics.confusion, or a matrix of counts) as colours with the counts
-- in them.  Options: names (of the classes).
-- `mare.plot.confusion(metrics.confusion(scores, labels)):show()`
function M.confusion(confusion, opts)
  opts = options(2, "confusion", opts, { names = true })
  local counts = type(confusion) == "table" and confusion.counts or confusion
  counts = tensor(1, "confusion", counts, 2)
  local names = opts.names or (type(confusion) == "table" and confusion.names) or
    count_to(counts:size(1))
  local fig = M.heatmap(counts, { title = opts.title or "confusion", rows = names, columns = names,
    xlabel = opts.xlabel or "predicted", ylabel = opts.ylabel or "true" })
  local panel, n = fig.panels[1], counts:size(1)
  panel.texts = {}
  local most = counts:max():item()
  for i, row in ipairs(counts:totable()) do
    for j, v in ipairs(row) do
      panel.texts[#panel.texts + 1] = { x = j, y = n + 1 - i, text = ("%.10g"):format(v),
        colour = v > most / 2 and "black" or "white" }
    end
  end
  return fig
end

-- The classes that a model gives to points (n, 2).
local function decide(model, points)
  local meta = type(model) == "table" and getmetatable(model)
  if type(model) ~= "function" and not (meta and (meta.__call or meta.__index)) then
    check.argument(1, "decision", "estimator, network or function expected, got %s",
      check.kind(model))
  end
  if require "mare.models".is_estimator(model) then return model:predict(points) end
  local y = mare.no_grad(function() return model(points) end)
  if not mare.is_tensor(y) or y:dim() == 0 or y:size(1) ~= points:size(1) then
    check.argument(1, "decision", "scores or labels of %d points expected, it returned %s",
      points:size(1), mare.is_tensor(y) and "shape " .. check.shape(y) or check.kind(y))
  end
  if y.dtype == "i64" then return y:reshape(-1) end
  if y:dim() == 2 and y:size(2) > 1 then return y:argmax(2) end
  return y:reshape(-1):gt(0):to "i64" + 1
end

-- The distinct classes of labels (or nil) and of decisions (n, n), in order, and the place of
-- each in this order: regions and points share their colours.
local function classes_in(labels, found)
  local list, place = {}, {}
  for _, part in ipairs { labels and labels:totable() or {}, found:reshape(-1):totable() } do
    for _, c in ipairs(part) do
      if not place[c] then place[c], list[#list + 1] = 0, c end
    end
  end
  table.sort(list)
  for k, c in ipairs(list) do place[c] = k end
  return list, place
end

-- The points of each class as a layer over the regions.
local function add_classes(panel, px, py, classes, list, labels)
  for k, c in ipairs(list) do
    local mask = classes:eq(c)
    if mask:any():item() == 1 then
      local qx, qy = scale.thin_points(px:masked_select(mask), py:masked_select(mask))
      panel.layers[#panel.layers + 1] = { kind = "points", x = qx, y = qy, colour = k,
        lettered = true, label = named(labels, k) or ("%d"):format(c) }
    end
  end
end

--- The regions that a classifier of two features decides for, with the points (n, 2) and their
-- labels over them.  The model is an estimator, a network or a function of points (n, 2), which
-- returns scores, one logit, or labels (i64).
-- Options: points (80: cells a side), x, y ({ lo, hi }), labels (names of the classes).
-- `mare.plot.decision(model, x, y, { title = "three hidden units" }):show()`
function M.decision(model, x, y, opts)
  opts = options(4, "decision", opts, { points = true, x = true, y = true, labels = true })
  local t = tensor(2, "decision", x, 2)
  if t:size(2) ~= 2 or t:size(1) == 0 then
    check.argument(2, "decision", "points (n, 2) expected, got shape %s", check.shape(t))
  end
  local classes = labels_of(3, "decision", y, t:size(1))
  local px, py = t:select(2, 1):contiguous(), t:select(2, 2):contiguous()
  local xlo, xhi = scale.padded(px:min():item(), px:max():item(), false, 0.08)
  local ylo, yhi = scale.padded(py:min():item(), py:max():item(), false, 0.08)
  if opts.x then xlo, xhi = interval(4, "decision", opts, "x") end
  if opts.y then ylo, yhi = interval(4, "decision", opts, "y") end
  local n = check.count(4, "decision", opts.points or 80, 2, "points")
  local xs, ys = spaced(xlo, xhi, n), spaced(ylo, yhi, n)
  local dtype = mare.is_tensor(x) and (x.dtype == "f64" or x.dtype == "f32") and x.dtype or "f32"
  local grid = mare.stack({ mare.tensor(xs, dtype):unsqueeze(1):expand(n, n):reshape(-1),
    mare.tensor(ys, dtype):unsqueeze(2):expand(n, n):reshape(-1) }, 2)
  local found = decide(model, grid):reshape(n, n)
  local list, place = classes_in(classes, found)
  local rows = found:totable()
  for _, row in ipairs(rows) do
    for c, v in ipairs(row) do row[c] = place[v] end
  end
  local panel = figure.panel(opts)
  panel.layers[1] = map_layer(rows, { xs = xs, ys = ys, classes = #list, lo = 1, hi = #list })
  if classes then add_classes(panel, px, py, classes, list, opts.labels) end
  return one(panel)
end

--- The graph of a function of one number with steps on it: f, then the places of the steps.
-- Options: x ({ lo, hi }), points (200), and those of line.
-- `mare.plot.function_steps(function(x) return (x - 1)^2 + 1 end, { 6, 5.5, 5.05 }):show()`
function M.function_steps(f, steps, opts)
  opts = options(3, "function_steps", opts, { x = true, points = true, labels = true })
  if type(f) ~= "function" then
    check.argument(1, "function_steps", "function expected, got %s", check.kind(f))
  end
  local places = tensor(2, "function_steps", steps or {}):reshape(-1):totable()
  local lo, hi = scale.padded(scale.range { places })
  if opts.x then lo, hi = interval(3, "function_steps", opts, "x") end
  local function value(x)
    local v = f(x)
    if mare.is_tensor(v) and v:numel() == 1 then v = v:item() end
    if type(v) ~= "number" then
      check.argument(1, "function_steps", "the function returned a %s, not a number", check.kind(v))
    end
    return v
  end
  local n = check.count(3, "function_steps", opts.points or 200, 2, "points")
  local xs, ys = spaced(lo, hi, n), {}
  for i, x in ipairs(xs) do ys[i] = value(x) end
  local panel, sy = figure.panel(opts), {}
  for i, x in ipairs(places) do sy[i] = value(x) end
  local labels = opts.labels or { "f", "steps" }
  panel.layers[1] = { kind = "line", x = xs, y = ys, label = named(labels, 1) }
  if #places > 0 then
    panel.layers[2] = { kind = "line", marks = true, x = places, y = sy, label = named(labels, 2) }
  end
  return one(panel)
end

--- An activation and its derivative: the name of an operation of one tensor.  Options: x
-- ({ lo, hi }, -5 to 5).  `mare.plot.activation "gelu":show()`
function M.activation(name, opts)
  opts = options(2, "activation", opts, { x = true })
  local op = type(name) == "string" and mare[name]
  if type(op) ~= "function" then
    check.argument(1, "activation", "the name of an operation expected, got %s", check.text(name))
  end
  local lo, hi = -5, 5
  if opts.x then lo, hi = interval(2, "activation", opts, "x") end
  local x = mare.linspace(lo, hi, 400, "f64"):requires_grad()
  local y = op(x)
  if not mare.is_tensor(y) or check.shape(y) ~= check.shape(x) then
    check.argument(1, "activation", "'%s' does not work element by element", name)
  end
  y:sum():backward()
  local more = { title = opts.title or name, labels = { name, "derivative" } }
  for k, v in pairs(opts) do
    if k ~= "x" then more[k] = v end
  end
  return M.line(x:detach(), { y:detach(), x.grad }, more)
end

-- The lists to draw by name: those of a history but for its axis, or of a table.
local function columns_of(source)
  if type(source) ~= "table" then
    check.argument(1, "series", "history or table of lists expected, got %s", check.kind(source))
  end
  local columns = {}
  if type(source.values) == "function" and type(source.names) == "function" then
    for _, name in ipairs(source:names()) do
      if name ~= "epoch" and name ~= "steps" and name ~= "seconds" then
        columns[name] = source:values(name)
      end
    end
  else
    for name, list in pairs(source) do columns[name] = list end
  end
  return columns
end

-- Names in groups, one for each panel ("loss" with "validation_loss"), and the groups in order.
-- Without a list of those wanted, all but the rate.
local function grouped(columns, names)
  local function wanted(name)
    for _, n in ipairs(names or {}) do
      if n == name then return true end
    end
    return names == nil and name ~= "lr"
  end
  local groups, order = {}, {}
  for name in pairs(columns) do
    if wanted(name) then
      local key = tostring(name):gsub("^validation_", "")
      if not groups[key] then groups[key], order[#order + 1] = {}, key end
      table.insert(groups[key], name)
    end
  end
  table.sort(order)
  return groups, order
end

--- Named series against a common axis: a training history (mare.train.fit), or { name = list }.
-- Losses and other values get a panel each.  Options: names (which), and those of line.
-- `mare.plot.series(history):show()`
function M.series(source, opts)
  opts = options(2, "series", opts, { names = true })
  local columns = columns_of(source)
  local groups, order = grouped(columns, opts.names)
  if #order == 0 then check.argument(1, "series", "there is nothing to draw") end
  local panels = {}
  for i, key in ipairs(order) do
    table.sort(groups[key])
    local panel = figure.panel(opts)
    panel.title, panel.xlabel = opts.title or key, opts.xlabel or "epoch"
    for _, name in ipairs(groups[key]) do
      local y = tensor(1, "series", columns[name], 1)
      add_line(panel, "series", mare.arange(1, math.max(y:numel(), 1), "f64"), y,
        (tostring(name):gsub("_", " ")), true)
    end
    panels[i] = panel
  end
  return figure.new(panels, math.min(#panels, 2))
end

--- Several figures side by side as one: a list of figures.  Options: columns (2), title.
-- `mare.plot.grid({ a, b, c, d }, { columns = 2 }):save "all.svg"`
function M.grid(figures, opts)
  check.options(2, "grid", opts, { columns = true, title = true })
  local panels = {}
  for i, fig in ipairs(type(figures) == "table" and figures or {}) do
    if not figure.is_figure(fig) then
      check.argument(1, "grid", "figure expected at entry %d, got %s", i, check.kind(fig))
    end
    for _, panel in ipairs(fig.panels) do panels[#panels + 1] = panel end
  end
  if #panels == 0 then check.argument(1, "grid", "list of figures expected") end
  local columns = check.count(2, "grid", opts and opts.columns or 2, nil, "columns")
  return figure.new(panels, columns, opts and opts.title)
end

return M
