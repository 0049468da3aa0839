-- 27-tagging.lua -- several tags for one picture.
-- ids: M19
-- takes: 5 s
-- expect: 0.81 0.88
-- expect: 0.03 0.3
--
-- What is asked.  One, two or three digits lie on top of each other in a picture: which ones
-- are they?  The tags do not exclude each other, so that softmax, whose outputs share a sum of 1,
-- is out of place.  Each tag gets a sigmoid and a cross-entropy of its own; the loss is their
-- mean.  A tag is given where its probability is above a half.
--
-- What is seen.  The network's tags have an F1 of 0.83 to 0.86, ten logistic regressions
-- apart from each other have less; the threshold trades wrong tags for missing ones.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("27-tagging.lua", "Several digits in one picture: tags.",
  { epochs = 25, rows = 12000, hidden = 256 })
mare.seed(args.seed)

-- n pictures of one, two or three different digits, the brighter pixel in front, and their
-- tags (n, 10) of 0 and 1.
local function overlay(digits, n)
  local x, tags = mare.zeros(n, 64), mare.zeros(n, 10)
  local count = mare.randint(1, 3, n, "i64")
  for layer = 1, 3 do
    local pick = mare.randint(1, #digits, n, "i64")
    local there = count:ge(layer):to("f32"):unsqueeze(2)
    x = x:maximum(digits.x:index_select(1, pick) * there)
    local label = mare.eye(10):index_select(1, digits.y:index_select(1, pick))
    tags = tags:maximum(label * there)
  end
  return mare.data.dataset(x, tags)
end
-- Pictures to learn from and unseen ones are made of different digits.
local known, new = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })
local train, test = overlay(known, args.rows), overlay(new, 2000)
print(("%d pictures with %.2f tags on average; %d unseen ones"):format(#train,
  train.y:sum(2):mean():item(), #test))

-- How good are tags (n, 10) of 0 and 1?  Micro F1 counts all tags together.
local function report(name, given, truth)
  local hits = (given * truth):sum():item()
  local precision, recall = hits / given:sum():item(), hits / truth:sum():item()
  local f1 = 2 * precision * recall / (precision + recall)
  local all = given:eq(truth):all(2):to("f32"):mean():item()
  print(("%-26s precision %.3f  recall %.3f  F1 %.3f  all tags right %.3f"):format(name, precision,
    recall, f1, all))
  return f1
end

lesson.title "unseen pictures"
report("every tag, always", mare.ones(#test, 10), test.y)

-- Ten logistic regressions, each of which sees the pictures with one tag against the others.
local lines = mare.models.OneVsRest { estimator = mare.models.LogisticRegression() }
lines:fit(train.x, train.y)
local straight = report("ten logistic regressions", lines:predict(test.x):to "f32", test.y)

local model = nn.Sequential { nn.Linear(64, args.hidden), nn.ReLU(), nn.Dropout(0.2),
  nn.Linear(args.hidden, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10) }
local history = mare.train.fit(model, { data = train, validation = test, epochs = args.epochs,
  batch = 64, seed = args.seed, progress = false, loss = mare.loss.multilabel_soft_margin,
  optimizer = mare.optim.adam(model:parameters(), { lr = 1e-3 }) })
local p = mare.train.predict(model, test.x):sigmoid()
local f1 = report("a network with ten outputs", p:gt(0.5):to "f32", test.y)
print(("The hidden layers, which all tags share, are worth %.2f of F1."):format(f1 - straight))

lesson.title "where to put the threshold"
print "A lower threshold finds more tags and gives more wrong ones:"
for _, t in ipairs { 0.1, 0.3, 0.5, 0.7, 0.9 } do
  report(("probability above %.1f"):format(t), p:gt(t):to "f32", test.y)
end

-- Names of the tags of one row.
local function names(row)
  local list = {}
  for k, v in ipairs(row:totable()) do
    if v == 1 then list[#list + 1] = k - 1 end
  end
  return #list > 0 and table.concat(list, " ") or "none"
end
local images, titles = {}, {}
for i = 1, 10 do
  images[i] = test.x[i]:reshape(8, 8)
  titles[i] = ("%s / %s"):format(names(p[i]:gt(0.5)), names(test.y[i]))
end
lesson.picture(plot.image(images, { columns = 5, titles = titles,
  title = "tags given / true tags" }), "27-tags", { width = 1000, height = 450 })
lesson.picture(plot.line({ history:values "loss", history:values "validation_loss" }, {
  labels = { "training", "unseen" }, title = "loss of the network", xlabel = "epoch",
  ylabel = "loss" }), "27-loss")
lesson.key("F1 of the network's tags", f1)
lesson.key("its lead over ten logistic regressions", f1 - straight)
