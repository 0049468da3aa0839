-- 23-forecasting.lua -- how many will come tomorrow?
-- ids: M2 M6 T9
-- takes: 30 s
-- expect: 4 16
-- expect: 0.5 0.75
--
-- What is asked.  A count is taken every day: visitors, say.  Tomorrow's is to be predicted
-- from the days before.  How many of them are needed?  Then networks of 1 to 4 layers: more
-- parameters make the loss on known days fall; what happens on unseen days?
--
-- The data.  Day t has the mean  m(t) = level (1 + trend t / year) week(t) season(t) rest(t):
-- week is high on five days and low at weekends, season a sine wave of a year, rest is 0.35 on
-- holidays (the same 10 dates each year, some of them several days long) and 1 else.
-- A slow wandering factor exp(u(t)), u(t) = 0.9 u(t - 1) + 0.04 noise, is what other days do
-- not tell.  The count is m(t) exp(u(t)) plus noise of spread sqrt(m), rounded.
--
-- What is seen.  Seven days before are much better than one, 28 and 56 a little better still.
-- Large networks know the training days nearly by heart, and on unseen days no more than the
-- linear model: the error there rises while that on known days falls.  The worst misses are
-- holidays.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("23-forecasting.lua", "A daily count predicted from its past.",
  { years = { 3, "years of days" }, level = { 200, "mean count" },
    trend = { 0.05, "growth a year" }, epochs = 150 })
mare.seed(args.seed)

local week = { 1.1, 1.05, 1.0, 1.05, 1.2, 0.7, 0.55 }
local holidays = { [1] = 2, [46] = 1, [95] = 4, [121] = 1, [140] = 1, [150] = 2, [227] = 1,
  [276] = 1, [305] = 1, [358] = 4 } -- day of the year = length
local function holiday(day)
  for first, length in pairs(holidays) do
    if day >= first and day < first + length then return true end
  end
  return false
end
local function generate(days)
  local noise, steps = mare.randn({ days }, "f64"):totable(), mare.randn({ days }, "f64"):totable()
  local list, u = {}, 0
  for t = 1, days do
    local day = (t - 1) % 365 + 1
    u = 0.9 * u + 0.04 * steps[t]
    local m = args.level * (1 + args.trend * t / 365) * week[(t - 1) % 7 + 1]
      * (1 + 0.2 * math.sin(2 * math.pi * day / 365)) * (holiday(day) and 0.35 or 1)
    list[t] = math.max(0, math.floor(m * math.exp(u) + math.sqrt(m) * noise[t] + 0.5))
  end
  return mare.tensor(list, "f64")
end
local counts = generate(args.years * 365)
local center, scale = counts:mean():item(), counts:std():item()
local series = (counts - center) / scale

-- Lags as a data set cut in time: the last year is unseen.  All predict the same days.
local longest = 56
local function dataset(lags, dtype)
  return mare.data.lags(series:to(dtype), lags, { first = longest + 1 }):split(
    counts:numel() - 365 - longest, { shuffle = false })
end
local function error_of(prediction, y)       -- in visitors
  return (prediction - y):square():mean():sqrt():item() * scale
end

lesson.title "a linear model of 1, 7, 28, 56 days"
print(("%d days, mean %.0f; root mean square error in counts"):format(counts:numel(), center))
print "days before   training   unseen"
local best, one_day
for _, lags in ipairs { 1, 7, 28, 56 } do
  local train, unseen = dataset(lags, "f64")
  local m = mare.models.LinearRegression():fit(train.x, train.y)
  local guess = m:predict(unseen.x)
  local seen, new = error_of(m:predict(train.x), train.y), error_of(guess, unseen.y)
  one_day = one_day or new
  if not best or new < best.loss then
    best = { lags = lags, loss = new, guess = guess * scale + center,
      truth = unseen.y * scale + center }
  end
  print(("%11d   %8.1f   %6.1f"):format(lags, seen, new))
end
local _, ago = dataset({ 7 }, "f64")
print(("for comparison, to say what was a week ago: %.1f on unseen days"):format(
  error_of(ago.x:squeeze(2), ago.y)))

-- On which days is it far off?  It knows the rhythm of the weeks, but no calendar.
local misses, there = (best.guess - best.truth):abs(), 0
local _, worst = misses:topk(10)
for _, day in ipairs(worst:totable()) do there = there + (holiday(day) and 1 or 0) end
print(("of its ten largest misses %d are on holidays, which are %d of 365 days"):format(there, 18))

lesson.title "1 to 4 layers of 10, 100, 1000 ReLU"
local train, unseen = dataset(longest, "f32")
local function network(layers, width)
  local list, size = {}, longest
  for _ = 1, layers do
    list[#list + 1], list[#list + 2], size = nn.Linear(size, width), nn.ReLU(), width
  end
  list[#list + 1] = nn.Linear(size, 1)
  return nn.Sequential(list)
end
local function rmse(model, ds)
  return error_of(mare.train.predict(model, ds.x):squeeze(2), ds.y)
end
local widths, figures, training, last, least = { 10, 100, 1000 }, {}, {}, {}, math.huge
print "layers   width   parameters   training   unseen   lowest unseen"
for i, width in ipairs(widths) do
  local curves, labels = {}, {}
  for layers = 1, 4 do
    mare.seed(args.seed)
    local model, count = network(layers, width), 0
    for _, p in ipairs(model:parameters()) do count = count + p:numel() end
    local path, lowest = {}, math.huge
    local history = mare.train.fit(model, { data = train, batch = 32, seed = args.seed,
      progress = false,
      epochs = width == 1000 and math.max(args.epochs // 5, 1) or args.epochs,
      loss = function(z, y) return mare.loss.mse(z:squeeze(2), y) end,
      optimizer = mare.optim.adam(model:parameters(), { lr = width == 1000 and 1e-3 or 2e-3 }),
      on_epoch = function(_, m)
        path[#path + 1] = rmse(m, unseen)
        lowest = math.min(lowest, path[#path])
      end })
    least, training[i] = math.min(least, lowest), {}
    for k, loss in ipairs(history:values "loss") do training[i][k] = math.sqrt(loss) * scale end
    last = { training = rmse(model, train), unseen = rmse(model, unseen) }
    print(("%6d   %5d   %10d   %8.1f   %6.1f   %13.1f"):format(layers, width, count,
      last.training, last.unseen, lowest))
    curves[layers], labels[layers] = path, layers .. (layers == 1 and " layer" or " layers")
  end
  figures[#figures + 1] = plot.line(curves, { labels = labels, title = width .. " ReLU a layer",
    xlabel = "epoch", ylabel = "unseen error" })
end

print "Large nets know the training days nearly by heart; on unseen days most of them end worse"
print(("than at their best epoch.  The least of these is %.1f; the linear model has %.1f."):format(
  least, best.loss))
figures[#figures + 1] = plot.line(training, { labels = { "10", "100", "1000" },
  title = "4 layers: training", xlabel = "epoch", ylabel = "training error", ylog = true })

local function first_days(t) return t:narrow(1, 1, math.min(120, t:numel())) end
figures[#figures + 1] = plot.line({ first_days(best.truth), first_days(best.guess) },
  { labels = { "truth", "prediction" }, title = ("linear, %d days before"):format(best.lags),
    xlabel = "unseen day", ylabel = "count" })
lesson.picture(plot.grid(figures, { columns = 3 }), "23-forecasting",
  { width = 1300, height = 800 })
lesson.key("unseen over training error, 4 layers of 1000", last.unseen / last.training)
lesson.key("unseen error of the best linear model over that of one day", best.loss / one_day)
