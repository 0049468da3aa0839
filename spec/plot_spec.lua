-- plot_spec.lua -- figures as text and as files.

local mare = require "mare"
local support = require "spec.support"

local plot = mare.plot
local scale = require "mare.plot.scale"
local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)

teardown(function() os.execute("rm -r " .. folder) end)

local function lines(fig, width, height, color)
  local list = {}
  for line in (fig:text { width = width or 80, height = height or 24, color = color or false }
    .. "\n"):gmatch "(.-)\n" do
    list[#list + 1] = line
  end
  return list
end

local function text(fig) return table.concat(lines(fig), "\n") end

local function has(fig, ...)
  local all = text(fig)
  for _, part in ipairs { ... } do
    if not all:find(part, 1, true) then error(("no '%s' in\n%s"):format(part, all), 2) end
  end
end

mare.seed(5)
local x = mare.linspace(-5, 5, 200)
local xy, labels = mare.randn(60, 2), mare.cat({ mare.ones({ 30 }, "i64"), mare.full({ 30 }, 2, "i64") }, 1)
local model = mare.models.GaussianClassifier():fit(xy:to "f64", labels)

-- one of each kind
local figures = {
  line = plot.line(x, { x:sin(), x:cos() }, { labels = { "sine", "cosine" }, title = "Curves",
    xlabel = "angle", ylabel = "value" }),
  log = plot.line({ 1, 10, 100, 1000, 1e5 }, { ylog = true, title = "growth" }),
  scatter = plot.scatter(xy, { classes = labels, labels = { "yes", "no" }, title = "points" }),
  hist = plot.hist(mare.randn(1000), { bins = 10, title = "normal" }),
  bar = plot.bar({ 3, 5, 2 }, { labels = { "apple", "pear", "fig" } }),
  heatmap = plot.heatmap(mare.randn(5, 7), { title = "weights", rows = { "a", "b", "c", "d", "e" } }),
  image = plot.image(mare.rand(6, 8, 8), { titles = { 1, 2, 3, 4, 5, 6 }, columns = 3 }),
  contour = plot.contour(function(a, b) return a * a + b * b end, { path = mare.tensor { { 1, 1 }, { 0, 0 } },
    title = "bowl" }),
  surface = plot.surface(function(a, b) return a * b end, { title = "saddle", points = 20 }),
  confusion = plot.confusion(mare.metrics.confusion(model:predict(xy:to "f64"), labels)),
  decision = plot.decision(model, xy:to "f64", labels, { points = 30, title = "regions" }),
  steps = plot.function_steps(function(v) return (v - 1) ^ 2 + 1 end, { 6, 5.5, 5.05 }),
  activation = plot.activation "gelu",
  series = plot.series { loss = { 3, 2, 1 }, validation_loss = { 3, 2.5, 2.4 }, accuracy = { 0.1, 0.5, 0.9 } },
}

describe("decision", function()
  -- the class of the cell of the map that holds (x1, x2)
  local function class_at(fig, x1, x2)
    local map = fig.panels[1].layers[1]
    local c = math.floor((x1 - map.x0) / (map.x1 - map.x0) * #map.xs) + 1
    local r = math.floor((x2 - map.y0) / (map.y1 - map.y0) * #map.ys) + 1
    return map.grid[r][c]
  end

  it("takes scores, a logit or labels of a function", function()
    local function right(p) return p:select(2, 1):gt(0) end
    for name, f in pairs {
      labels = function(p) return right(p):to "i64" + 1 end,
      logit = function(p) return p:select(2, 1) end,
      scores = function(p) return mare.stack({ -p:select(2, 1), p:select(2, 1) }, 2) end,
    } do
      local fig = plot.decision(f, xy, labels, { x = { -1, 1 }, y = { -1, 1 } })
      assert.equal(1, class_at(fig, -0.5, 0.2), name)
      assert.equal(2, class_at(fig, 0.5, 0.2), name)
    end
  end)
end)

describe("a figure in the terminal", function()
  it("fits, whatever its kind", function()
    for name, fig in pairs(figures) do
      for _, size in ipairs { { 80, 24 }, { 40, 12 }, { 120, 40 } } do
        for _, color in ipairs { false, true } do
          local list = lines(fig, size[1], size[2], color)
          assert.is_true(#list <= math.max(size[2], 8 * #fig.panels), name .. " is " .. #list .. " lines")
          for _, line in ipairs(list) do
            local plain = line:gsub("\27%[[%d;]*m", "")
            assert.is_true(utf8.len(plain) <= size[1], name .. ": " .. plain)
          end
        end
      end
    end
  end)

  it("shows what it was told", function()
    has(figures.line, "Curves", "angle", "value", "o sine", "x cosine", "┤", "┬")
    has(figures.log, "growth", "100")
    has(figures.scatter, "points", "o yes", "x no")
    has(figures.hist, "normal", "count", "⣿")
    has(figures.bar, "apple", "pear", "fig")
    has(figures.heatmap, "weights", "a┤", "e┤")
    has(figures.confusion, "predicted", "true", "1┤", "2┤")
    has(figures.steps, "f", "steps")
    has(figures.activation, "gelu", "derivative")
    has(figures.series, "accuracy", "loss", "validation loss", "epoch")
  end)

  it("draws a line where it is", function()
    local list = lines(plot.line({ 0, 1 }, { 0, 1 }), 40, 12)
    local first, last
    for _, line in ipairs(list) do
      local at = line:find("\xe2[\xa0-\xa3]") -- the bytes of braille
      if at then first, last = first or at, at end
    end
    assert.is_true(first > last) -- from the upper right to the lower left
  end)

  it("draws bars over a log axis, from its lower end", function()
    local list = lines(plot.bar({ 3, 500, 20000, 1 }, { ylog = true }), 60, 20)
    local last = list[#list - 2] -- above the axis: all four bars
    local filled = 0
    for _ in last:gmatch "⣿" do filled = filled + 1 end
    assert.is_true(filled > 30, last)
    assert.is_nil(list[1]:sub(1, 30):find "⣿")
  end)

  it("has ticks on log axes of any length", function()
    local function texts(...) return table.concat(select(2, scale.ticks(...)), " ") end
    assert.equal("2 3 4 5 6", texts(1.9, 6.2, 5, true))
    assert.equal("20.00 20.05 20.10 20.15 20.20", texts(20, 20.2, 6, true))
    assert.equal("2 5 10 20 50", texts(2, 90, 5, true))
    assert.equal("1e-9 1e-6 0.001 1", texts(1e-9, 10, 5, true))
    assert.equal("-1 0 1", texts(-1.08, 1.08, 2))
    assert.equal("1000000.00 1000000.05 1000000.10 1000000.15", texts(1e6, 1e6 + 0.2, 5))
    assert.equal("-1e308 0 1e308", texts(-1.7e308, 1.7e308, 5))
    assert.equal(2, #scale.ticks(1, 1 + 2 ^ -52, 5)) -- ends
    assert.equal(2, #scale.ticks(0, 5e-324, 5))
    has(plot.line({ 2, 3, 4, 5, 6 }, { ylog = true }), "2┤", "4┤", "6┤")
  end)

  it("tells more series apart than there are colours", function()
    local many = {}
    for i = 1, 12 do many[i] = x + i end
    local fig = plot.line(x, many, { labels = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } })
    has(fig, "& 8", "a 9", "b 10", "d 12")
    local coloured = fig:text { width = 80, height = 24, color = true }
    assert.truthy(coloured:find "\27%[38;5;75m──\27%[0m 1 ")
    assert.truthy(coloured:find "\27%[38;5;75ma\27%[0m 9")
  end)

  it("cuts lines at its edges instead of leaving them out", function()
    local list = lines(plot.line({ 0, 1 }, { -1e9, 1e9 }, { ylim = { -1, 1 } }), 40, 12)
    local marked = 0
    for i = 1, #list - 2 do marked = marked + (list[i]:find "\xe2[\xa0-\xa3]" and 1 or 0) end
    assert.equal(#list - 2, marked) -- it crosses the picture from the bottom to the top
  end)

  it("joins the lines of a contour, and sets a path off from them", function()
    has(figures.contour, "o", "lines from")
    local ring = lines(plot.contour(function(a, b) return a * a + b * b end, { levels = { 0.5 } }), 60, 24)
    local dots = 0
    for _, line in ipairs(ring) do
      for _, code in utf8.codes((line:gsub("…", ""))) do dots = dots + (code > 0x2800 and code < 0x2900 and 1 or 0) end
    end
    assert.is_true(dots > 80, dots) -- cells of a closed curve
  end)

  it("writes counts in a colour that stands out", function()
    local shown = plot.confusion(mare.tensor { { 20, 1 }, { 0, 20 } }):text { width = 60, height = 20, color = true }
    assert.truthy(shown:find "48;5;226m\27%[38;5;16m2")
    assert.truthy(shown:find "48;5;17m\27%[38;5;15m0")
  end)

  it("says what shades mean", function()
    has(figures.heatmap, " .:-=+*#%@ ")
    has(figures.surface, "-1  .:-=+*#%@ 1")
    has(figures.decision, " o  1", ".x. 2")
  end)

  it("puts long names on several lines", function()
    local names = {}
    for i = 1, 12 do names[i] = "category " .. i end
    has(plot.bar(mare.ones(12), { labels = names }), "category 1", "category 2", "category 11", "category 12")
  end)

  it("has colours only when asked", function()
    for name, fig in pairs(figures) do
      assert.is_nil(text(fig):find "\27", name)
    end
    assert.truthy(figures.line:text({ width = 80, height = 24, color = true }):find "\27%[38;5;")
  end)

  it("takes NaN, infinities, one point, constant data and none", function()
    for _, y in ipairs { { 1, 0 / 0, 3, math.huge, 2, -math.huge, 4 }, { 5 }, { 2, 2, 2 }, {}, { 0 / 0 },
      { 1e300, -1e300 }, { 1e-300, 0 } } do
      assert.is_true(#lines(plot.line(y)) > 5)
      assert.is_true(#lines(plot.scatter(mare.tensor(#y > 0 and y or { 0 }, "f64"),
        mare.tensor(#y > 0 and y or { 0 }, "f64"))) > 5)
      assert.is_true(#lines(plot.hist(y)) > 5)
    end
    assert.is_true(#lines(plot.heatmap(mare.full({ 2, 2 }, 0 / 0))) > 5)
    assert.is_true(#lines(plot.line({ 1, 2, -3 }, { ylog = true })) > 5)
  end)

  it("shows names in another encoding than UTF-8 with question marks", function()
    local shown = plot.bar({ 1, 2 }, { labels = { "caf\xe9", "b" }, title = "\xfcber" }):text { width = 60,
      height = 12, color = false }
    assert.truthy(shown:find("caf?", 1, true) and shown:find("?ber", 1, true))
    assert.truthy(utf8.len(shown))
  end)

  it("of a million points takes less than a second each", function()
    local cloud = mare.randn(1000000, 2)
    local wave = mare.randn(1000000)
    local start = os.clock() -- of the processor: others may be using it
    local fig = plot.scatter(cloud)
    fig:text { width = 80, height = 24 }
    plot.line(wave):text { width = 80, height = 24 }
    assert.is_true(os.clock() - start < 2)
    assert.is_true(#fig.panels[1].layers[1].x < 500000)
  end)

  it("is shown by show and by print", function()
    local out = { write = function(self, ...) self.text = (self.text or "") .. table.concat { ... } end }
    assert.equal(figures.bar, figures.bar:show { out = out, width = 60, height = 12, color = false })
    assert.equal(figures.bar:text { width = 60, height = 12, color = false } .. "\n", out.text)
    assert.truthy(tostring(figures.bar):find "apple")
  end)

  it("of a training run has a panel for each measure", function()
    local net = mare.nn.Sequential { mare.nn.Linear(2, 2) }
    local data = mare.data.dataset(xy, labels)
    local history = mare.train.fit(net, { data = data, validation = data, epochs = 3, progress = false,
      metrics = { "accuracy" }, loss = mare.loss.cross_entropy,
      optimizer = mare.optim.sgd(net:parameters()) })
    local fig = history:plot()
    assert.equal(2, #fig.panels)
    has(fig, "accuracy", "loss", "validation loss")
  end)
end)

describe("a figure in a file", function()
  local there = os.execute "gnuplot --version >/dev/null 2>&1"

  it("is drawn by gnuplot", function()
    if not there then pending "gnuplot is not installed" return end
    local begins = { svg = "<?xml", png = "\137PNG", pdf = "%PDF" }
    for name, fig in pairs(figures) do
      for _, kind in ipairs { "svg", name == "line" and "png" or "svg", name == "line" and "pdf" or "svg" } do
        local path = ("%s/%s.%s"):format(folder, name, kind)
        assert(fig:save(path, { width = 400, height = 300 }))
        local file = assert(io.open(path, "rb"))
        local head = file:read(5)
        file:close()
        assert.equal(begins[kind], head:sub(1, #begins[kind]))
      end
    end
  end)

  it("is drawn from little data and from none", function()
    if not there then pending "gnuplot is not installed" return end
    for i, fig in ipairs { plot.hist {}, plot.bar {}, plot.line {}, plot.line { 5 }, plot.line { 0 / 0 },
      plot.line({ 0, 3, 0 / 0, -1 }, { ylog = true }) } do
      assert(fig:save(("%s/few%d.svg"):format(folder, i)))
    end
  end)

  it("has its own ticks, dashes when the colours are used up, and points that stand alone", function()
    local gnuplot = require "mare.plot.gnuplot"
    local function script(fig) return gnuplot.script(fig, "x.png", "png", 800, 600) end
    local function holds(fig, ...)
      for _, part in ipairs { ... } do
        if not script(fig):find(part, 1, true) then error(("no '%s' in\n%s"):format(part, script(fig)), 2) end
      end
    end
    holds(plot.line({ 2, 3, 4, 5, 6 }, { ylog = true }), "set logscale y", "'2.5' 2.5", "'6.0' 6")
    holds(plot.line({ 1e-8, 1 }, { ylog = true }), "'1e-8' 1e-08")
    holds(plot.line { 1, 0 / 0, 3 }, "$d1_1l using 1:2 with points pt 7")
    local many = {}
    for i = 1, 9 do many[i] = x + i end
    holds(plot.line(x, many), "dt 1 lc rgb '#7f7f7f'", "dt 2 lc rgb '#4c9be8'")
    holds(plot.scatter(xy, { classes = mare.arange(0, 59, "i64") % 9 }), "pt 5")
    holds(plot.line({ 1 }, { title = ("long "):rep(60) }), "lon…'", "set title")
  end)

  it("keeps what is between quotes", function()
    if not there then pending "gnuplot is not installed" return end
    local path = folder .. "/q.svg"
    assert(plot.line({ 1, 2 }, { title = "it's `date` $x \"y\"\n_b^2" }):save(path))
    local file = io.open(path)
    local all = file:read "a"
    file:close()
    assert.truthy(all:find("it's `date` $x", 1, true) or all:find("it&apos;s `date` $x", 1, true) or
      all:find("it&#39;s `date` $x", 1, true))
  end)

  it("says what is missing", function()
    local ok, message = figures.line:save(folder .. "/nowhere/a.svg")
    assert.is_nil(ok)
    assert.truthy(message:find "No such file")
    local pipe = io.popen(([[PATH=%s lua5.4 -e 'local m = require "mare"
      print(m.plot.line({1, 2}):save("%s/none.svg"))' 2>&1]]):format(folder, folder))
    local said = pipe:read "a"
    pipe:close()
    if said:find "not found" and not said:find "gnuplot" then -- no lua5.4 in that PATH: ask its folder
      local name = io.popen "command -v lua5.4"
      local lua = name:read "l"
      name:close()
      pipe = io.popen(([[PATH=%s %s -e 'local m = require "mare"
        print(m.plot.line({1, 2}):save("%s/none.svg"))' 2>&1]]):format(folder, lua, folder))
      said = pipe:read "a"
      pipe:close()
    end
    assert.truthy(said:find "gnuplot is not installed; Debian's package is gnuplot%-nox", said)
    assert.is_nil(io.open(folder .. "/none.svg"))
  end)
end)

describe("plot refuses", function()
  local function bad(part, f, ...)
    local args = table.pack(...)
    support.fails("plot_spec.lua", function() return (f(table.unpack(args, 1, args.n))) end, part)
  end

  it("what it cannot draw", function()
    bad("bad argument #2 to 'line' (2 values of y for 3 of x)", plot.line, { 1, 2, 3 }, { 1, 2 })
    bad("unknown option 'titel'; did you mean 'title'? known: labels, marks, title", plot.line, { 1 }, { titel = "x" })
    bad("title: string expected, got number", plot.line, { 1 }, { title = 3 })
    bad("labels: a list expected, got number", plot.line, { 1 }, { labels = 3 })
    bad("the function returned a string, not a number", plot.function_steps, function() return "a" end)
    bad("whole number of at least 1 expected, got 0", plot.grid, { plot.line { 1 } }, { columns = 0 })
    bad("estimator, network or function expected, got number", plot.decision, 3, xy)
    bad("table of options expected, got number", function() plot.line({ 1 }):show(3) end)
    bad("xlim: { lo, hi } expected", plot.line, { 1 }, { xlim = { 1 } })
    bad("ylim: { lo, hi } expected", plot.line, { 1 }, { ylim = { 2, 1 } })
    bad("xlim: an axis with logarithms begins above 0, not at 0", plot.line, { 1 }, { xlog = true, xlim = { 0, 1 } })
    bad("tensor or list of numbers expected, got string", plot.line, "abc")
    bad("points (n, 2) expected, got shape 3x3", plot.scatter, mare.ones(3, 3))
    bad("one whole number for each of 60 points expected, got a list of 2", plot.scatter, xy, { classes = { 1, 2 } })
    local function first(v) return function(p) return v or p:narrow(1, 1, 2) end end
    bad("points expected, got #1 = 0.5", plot.decision, first(), xy, { 0.5, table.unpack(mare.ones(59):totable()) })
    bad("points expected, got 0.25", plot.decision, first(), xy, mare.full({ 60 }, 0.25))
    bad("points expected, got shape 3", plot.decision, first(), xy, mare.ones(3))
    bad("#1 to 'decision' (scores or labels of 6400 points expected, it returned number)", plot.decision, first(3), xy)
    bad("6400 points expected, it returned shape 2x2", plot.decision, first(), xy)
    bad("#4 to 'decision' (x: { lo, hi } expected)", plot.decision, first(), xy, nil, { x = 3 })
    bad("#4 to 'decision' (points: whole number of at least 2", plot.decision, first(), xy, nil, { points = 1 })
    bad("bins", function() return plot.hist({ 1 }, { bin = 3 }) end)
    bad("images (height, width)", plot.image, mare.ones(4))
    bad("2-d values expected, got shape 4", plot.heatmap, mare.ones(4))
    bad("x: { lo, hi } expected", plot.contour, function() return 1 end, { x = { 2, 1 } })
    bad("the function returned a string, not a number", plot.contour, function() return "a" end)
    bad("the name of an operation expected, got nosuch", plot.activation, "nosuch")
    bad("there is nothing to draw", plot.series, {})
    bad("figure expected at entry 1, got number", plot.grid, { 3 })
    bad("a path that ends in .svg, .png or .pdf expected, got 'a.gif'", function()
      return figures.line:save "a.gif"
    end)
    bad("whole number of at least 20 expected, got 3", function() return figures.line:text { width = 3 } end)
  end)
end)
