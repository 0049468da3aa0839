-- 22-dropout.lua -- too little is learnt, or too much, and what helps.
-- ids: M17 A7 L3 T9
-- takes: 3 s
-- expect: 0.3 0.8
--
-- What is asked.  A small net learns too little: its loss is high on what it has seen and on
-- what it has not (underfitting).  A large net with few examples learns them by heart: its
-- loss falls to nothing on what it has seen and rises on the rest (overfitting).  Three
-- remedies: stop in time, switch off units by chance, leave out features.
--
-- What is seen.  Three units are wrong on known and unseen rows alike, 256 know the wrong
-- labels by heart.  Dropout halves their loss on unseen rows, an early stop does nearly as
-- well, and L1 finds the columns that tell something.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("22-dropout.lua", "Overfitting, dropout, early stop, L1.",
  { rows = 200, epochs = 80, dropout = 0.5, patience = { 8, "epochs without a better one" },
    wrong = { 0.15, "part of the labels drawn by chance" } })
mare.seed(args.seed)

-- Few training rows, some of them with a wrong label: there is something not to be learnt.
local train, rest = mare.data.digits():split(args.rows, { stratify = true, seed = args.seed })
local validation, unseen = rest:split(400, { stratify = true, seed = args.seed })
local labels = mare.where(mare.rand(args.rows):lt(args.wrong),
  mare.randint(1, 10, args.rows, "i64"), train.y)
train = mare.data.dataset(train.x, labels)

local function net(hidden, p)
  mare.seed(args.seed)
  return nn.Sequential { nn.Dropout(p / 2), nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(p),
    nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(p), nn.Linear(hidden, 10) }
end

lesson.title "four ways to train"
print(("%d training rows, a part %g of them with labels by chance; %d rows to watch, %d unseen")
  :format(args.rows, args.wrong, #validation, #unseen))
print "                      epochs   training loss   unseen loss   unseen accuracy"
local function run(name, hidden, p, stop)
  local model = net(hidden, p)
  local history = mare.train.fit(model, { data = train, validation = validation, batch = 32,
    epochs = args.epochs, seed = args.seed, loss = mare.loss.cross_entropy, progress = false,
    early_stop = stop and { patience = args.patience } or nil,
    optimizer = mare.optim.adam(model:parameters(), { lr = 2e-3 }) })
  local opts = { loss = mare.loss.cross_entropy, metrics = { "accuracy" } }
  local seen = mare.train.evaluate(model, train, opts)
  local new = mare.train.evaluate(model, unseen, opts)
  print(("%-20s  %6d   %13.3f   %11.3f   %15.3f"):format(name, #history, seen.loss, new.loss,
    new.accuracy))
  return history, new.loss
end
local small = run("3 hidden units", 3, 0)
local large, spoiled = run("256 hidden units", 256, 0)
local thinned, cured = run("with dropout", 256, args.dropout)
local stopped = run("with early stop", 256, 0, true)
print(("early stop: no better epoch for %d epochs, so it ended after %d and took the weights of\n"
  .. "epoch %d again"):format(args.patience, #stopped, #stopped - args.patience))

lesson.title "what dropout does to a layer"
local layer, ones = nn.Dropout(args.dropout), mare.ones(10000)
local y = layer:train()(ones)
print(("in training a part %.3f of the values is 0, the others are %g; the mean is %.3f"):format(
  y:eq(0):to("f64"):mean():item(), y:max():item(), y:mean():item()))
print(("in use nothing is left out: the mean is %g, the smallest value %g"):format(
  layer:eval()(ones):mean():item(), layer(ones):min():item()))

lesson.title "feature selection: the L1 penalty"
-- 20 columns tell about the target, 180 are noise; there are fewer rows than columns.
local told, columns, n = 20, 200, 150
local truth = mare.cat({ mare.ones({ told }, "f64"), mare.zeros({ columns - told }, "f64") }, 1)
local function draw(count)
  local x = mare.randn({ count, columns }, "f64")
  return x, x:matmul(truth):gt(0):to "i64" + 1
end
local x, t = draw(n)
local new_x, new_t = draw(2000)
local strengths, kept, best = { 0.02, 0.05, 0.1, 0.3, 1, 10 }, {}, 0
print "penalty    C   columns kept   of these true   training accuracy   unseen accuracy"
local function classify(penalty, C)
  local m = mare.models.LogisticRegression { penalty = penalty, C = C }:fit(x, t)
  local used = m.weight:reshape(-1):ne(0)
  local count = used:sum():item()
  local right = used:narrow(1, 1, told):sum():item()
  local accuracy = m:score(new_x, new_t)
  print(("%-7s %5g   %12d   %13d   %17.3f   %15.3f"):format(penalty, C, count, right,
    m:score(x, t), accuracy))
  return count, accuracy
end
for i, C in ipairs(strengths) do
  local count, accuracy = classify("l1", C)
  kept[i] = count
  best = math.max(best, accuracy)
end
local _, all = classify("l2", 1)
print(("leaving columns out gets %.3f right, a little of all columns %.3f"):format(best, all))

lesson.picture(plot.grid({
  plot.line({ large:values "loss", large:values "validation_loss", small:values "loss",
    small:values "validation_loss" }, { labels = { "256 units, training", "256 units, unseen",
    "3 units, training", "3 units, unseen" }, title = "over- and underfitting", xlabel = "epoch",
    ylabel = "loss" }),
  plot.line({ large:values "validation_loss", thinned:values "validation_loss",
    stopped:values "validation_loss" }, { labels = { "no remedy", "dropout", "early stop" },
    title = "remedies", xlabel = "epoch", ylabel = "unseen loss" }),
  plot.line(strengths, kept, { xlog = true, marks = true, title = "columns kept by L1",
    xlabel = "C (1 / penalty)", ylabel = "columns" }),
}, { columns = 3 }), "22-dropout", { width = 1300, height = 400 })
lesson.key("unseen loss with dropout over that without", cured / spoiled)
