-- 24-frames.lua -- from a text file with holes to a trained model.
-- ids: T6 T7 T9 M3
-- takes: 1 s
-- expect: 0.9 0.96
--
-- What is asked.  Raw data are text: columns of numbers and of words, some of them missing.  A
-- model wants numbers of like size.  Between the two: fill what is missing, make indicator
-- columns of words, standardise, perhaps whiten.  All of this is learnt from the training rows
-- alone; the test rows only undergo it.
--
-- The data are made up: flats with area (square metres), rooms (about area / 25), age (years),
-- district and heating; the rent is 4 + 9 area + 60 rooms - 3 age, more in some districts,
-- plus noise of spread 60.  Some entries are left out by chance, and "heating" often.
--
-- What is seen.  From a text with holes to R2 of 0.93; without the columns made of words it
-- is 0.87.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot, data = mare.nn, mare.plot, mare.data
local args = lesson.options("24-frames.lua", "A table with holes, made ready for a model.",
  { rows = 1500, holes = { 0.06, "part of the entries left out" }, epochs = 40 })
mare.seed(args.seed)

lesson.title "a text file"
local function write_table(path)
  local u = mare.rand({ args.rows, 10 }, "f64"):totable()
  local noise = mare.randn({ args.rows }, "f64"):totable()
  local districts, worth = { "centre", "harbour", "hill", "north" }, { 250, 120, 180, 0 }
  local file = assert(io.open(path, "w"))
  file:write "area,rooms,age,district,heating,rent\n"
  for i, r in ipairs(u) do
    local area = 25 + 100 * r[1]
    local rooms = math.max(1, math.floor(area / 25 + 1.5 * (r[2] - 0.5) + 0.5))
    local age, k = math.floor(80 * r[3] * r[3]), 1 + math.floor(4 * r[4])
    local heating = r[5] < 0.4 and "gas" or r[5] < 0.6 and "district heat" or nil
    local rent = 4 + 9 * area + 60 * rooms - 3 * age + worth[k] + 60 * noise[i]
    local function hole(j, v) return r[j] < args.holes and "" or v end
    file:write(table.concat({ hole(6, ("%.1f"):format(area)), hole(7, rooms), hole(8, age),
      hole(9, districts[k]), heating or "", ("%.0f"):format(rent) }, ","), "\n")
  end
  file:close()
end
local path = os.tmpname()
write_table(path)
local frame = assert(data.csv(path))
os.remove(path)
print(frame:head(6))
print(frame:describe())
local whole = #frame:dropna()
print(("%d of %d rows have no hole; without the column heating %d"):format(whole, #frame,
  #frame:drop("heating"):dropna()))

lesson.title "what is learnt from the training rows"
local train, test = frame:split(0.8, { seed = args.seed })
local numbers = { "area", "rooms", "age" }
local fills = train:fills { area = "median", rooms = "median", age = "median" }
local categories = train:categories()
for _, name in ipairs(numbers) do print(("%-5s is filled with %g"):format(name, fills[name])) end
local function ready(f)
  return f:fillna(fills):onehot({ "district", "heating" }, { missing = true,
    categories = categories })
end
local trained, tested = ready(train), ready(test)
print("columns:\n  " .. table.concat(trained:names(), "\n  "))
print "(..._nan is 1 where the word was missing: that, too, may tell something)"

lesson.title "zero mean, unit variance; whitening"
local scale = data.Standardize { columns = numbers }
trained, tested = scale:fit(trained):transform(trained), scale:transform(tested)
local z = trained:tensor(numbers, "f64")
-- The products of the columns: 1 on the diagonal, correlations beside it.
local function products(t)
  return t:t():matmul(t) / t:size(1)
end
local function rows_of(m)
  local lines = {}
  for i, row in ipairs(m:totable()) do
    for j, v in ipairs(row) do row[j] = ("%6.2f"):format(v) end
    lines[i] = "  " .. table.concat(row, " ")
  end
  return table.concat(lines, "\n")
end
print("standardised, area and rooms go together:\n" .. rows_of(products(z)))
local whiten = data.PCAWhiten()
local white = whiten:fit_transform(z)
print("whitened, no column tells about another:\n" .. rows_of(products(white)))
local back = (whiten:inverse(white) - z):abs():max():item()
print(("whitening can be undone: the largest difference is %.1e"):format(back))

lesson.title "a model, saved and read again"
local rent = trained.rent:to "f64"
local mean, spread = rent:mean():item(), rent:std():item()
local function dataset(f)
  return data.dataset(f:drop("rent"):tensor(), ((f.rent:to "f64" - mean) / spread):to "f32")
end
local seen, unseen = dataset(trained), dataset(tested)
local function network()
  return nn.Sequential { nn.Linear(seen.x:size(2), 32), nn.ReLU(), nn.Linear(32, 1) }
end
local model = network()
mare.train.fit(model, { data = seen, epochs = args.epochs, batch = 32, seed = args.seed,
  loss = function(p, y) return mare.loss.mse(p:squeeze(2), y) end, progress = false,
  optimizer = mare.optim.adam(model:parameters(), { lr = 3e-3 }) })
local function guess(m, ds) return mare.train.predict(m, ds.x):squeeze(2) end
local r2 = mare.metrics.r2(guess(model, unseen), unseen.y)
print(("%d rows to train on, %d to test; R2 on unseen rows %.3f"):format(#seen, #unseen, r2))
local linear = mare.models.LinearRegression()
print(("a linear model on the same columns: %.3f"):format(
  linear:fit(seen.x, seen.y):score(unseen.x, unseen.y)))
local bare = linear:fit(seen.x[":, 1:3"], seen.y):score(unseen.x[":, 1:3"], unseen.y)
print(("without the indicator columns: %.3f"):format(bare))

local file = os.tmpname()
assert(model:save(file))
local again = network()
assert(nn.load(again, file))
os.remove(file)
print(("read again, the predictions differ by %g"):format(
  (guess(again, unseen) - guess(model, unseen)):abs():max():item()))

local shown = mare.stack({ guess(model, unseen), unseen.y }, 2) * spread + mean
lesson.picture(plot.grid({
  plot.hist(frame:fillna("mean").area, { title = "area, holes filled by the mean",
    xlabel = "square metres" }),
  plot.scatter(z[":, 1:2"], { title = "standardised", xlabel = "area", ylabel = "rooms" }),
  plot.scatter(white[":, 1:2"], { title = "whitened", xlabel = "component 1",
    ylabel = "component 2" }),
  plot.scatter(shown, { title = "unseen rents", xlabel = "prediction", ylabel = "truth" }),
}, { columns = 2 }), "24-frames", { width = 1000, height = 800 })
lesson.key("R2 on unseen rows", r2)
