-- 32-semi-supervised.lua -- a few labels and many pictures without.
-- ids: M19
-- takes: 7 s
-- expect: 0.02 0.13
--
-- What is asked.  Labels are dear, pictures are cheap.  Of 1,400 digits only 40 have a label;
-- what are the others good for?  If the boundary between classes lies where there are few
-- pictures (low-density separation), then a good classifier is sure about nearly all of them.
-- Two ways to ask for that: entropy regularisation adds the uncertainty about the unlabelled
-- pictures to the loss; self-training takes sure answers for labels and learns from them again.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("32-semi-supervised.lua", "Self-training and entropy regularisation.",
  { labels = 4, steps = 1000, weight = 0.15, rounds = 5 })
mare.seed(args.seed)

-- `labels` pictures of each digit keep their label.
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })
local count, with, without = {}, {}, {}
for i, d in ipairs(train.y:totable()) do
  count[d] = (count[d] or 0) + 1
  table.insert(count[d] <= args.labels and with or without, i)
end
local few, many = train:subset(with), train:subset(without)
print(("%d pictures with a label, %d without, %d unseen ones"):format(#few, #many, #test))

-- (The weight of the entropy was chosen by what unseen pictures said with three seeds, which is
-- a little too kind to it.)
local function accuracy(model, of)
  return mare.train.evaluate(model, of, { metrics = { "accuracy" } }).accuracy
end

-- The mean entropy of the answers, in nats: 0 where all are sure.
local function entropy(logits)
  return -(logits:softmax(2) * logits:log_softmax(2)):sum(2):mean()
end

-- Small steps with all of x, y and a part of the pictures without labels.
local function learn(x, y, weight)
  mare.seed(args.seed)
  local model = nn.Sequential { nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10) }
  local opt = mare.optim.adamw(model:parameters(), { lr = 3e-3, weight_decay = 0.05 })
  local path = {}
  for step = 1, args.steps do
    local _ <close> = mare.scope()
    local l = mare.loss.cross_entropy(model(x), y)
    if weight > 0 then
      -- first learn something, then become sure
      local now = weight * math.min(1, 2 * step / args.steps)
      local rows = mare.randint(1, #many, 256, "i64")
      l = l + now * entropy(model(many.x:index_select(1, rows)))
    end
    opt:zero_grad()
    l:backward()
    opt:step()
    if step % 10 == 0 then
      model:eval()
      path[#path + 1] = accuracy(model, test)
      model:train()
    end
  end
  model:eval()
  return model, path
end

local function report(name, model)
  local logits = mare.train.predict(model, many.x)
  print(("%-28s unseen accuracy %.3f; entropy of the unlabelled %.3f"):format(name,
    accuracy(model, test), entropy(logits):item()))
end

lesson.title "what the pictures without labels add"
local plain, plain_path = learn(few.x, few.y, 0)
report("labels alone", plain)
local sure, sure_path = learn(few.x, few.y, args.weight)
report("entropy regularisation", sure)

-- Self-training: in each round the surest answers for every digit, more and more of them,
-- become labels.
local model, self_path = plain, { accuracy(plain, test) }
for round = 1, args.rounds do
  local p, digit = mare.train.predict(model, many.x):softmax(2):max(2)
  local rows = {}
  for d = 1, 10 do
    local own = digit:eq(d):nonzero():reshape(-1)
    local k = math.ceil(#own * round / args.rounds * 0.9)
    if k > 0 then
      local _, at = p:index_select(1, own):topk(k)
      rows[#rows + 1] = own:index_select(1, at)
    end
  end
  rows = mare.cat(rows, 1)
  local x = mare.cat({ few.x, many.x:index_select(1, rows) }, 1)
  local y = mare.cat({ few.y, digit:index_select(1, rows) }, 1)
  model = learn(x, y, args.weight)
  self_path[round + 1] = accuracy(model, test)
  print(("  round %d: %4d answers as labels, %.1f%% of them right"):format(round, #rows,
    100 * digit:index_select(1, rows):eq(many.y:index_select(1, rows)):to("f32"):mean():item()))
end
report("self-training with entropy", model)
local full = learn(train.x, train.y, 0)
report("all labels (for comparison)", full)

local base = accuracy(plain, test)
local gain = accuracy(model, test) - base
print(("\nPictures without labels give %.0f%% of what their labels would give."):format(
  100 * gain / (accuracy(full, test) - base)))
print "Self-training learns from its own mistakes, too: with --seed 2 it is no better than entropy."
print(("(With %d unseen pictures differences below %.3f may be chance.)"):format(#test,
  2 * math.sqrt(base * (1 - base) / #test)))
local at = mare.arange(10, args.steps, 10)
lesson.picture(plot.grid({
  plot.line(at, { plain_path, sure_path }, { labels = { "labels alone", "with entropy" },
    title = "from few labels", xlabel = "step", ylabel = "unseen accuracy" }),
  plot.line(mare.arange(0, args.rounds), { self_path }, { marks = true, title = "self-training",
    xlabel = "round", ylabel = "unseen accuracy" }),
}, { columns = 2 }), "32-semi-supervised", { width = 1000, height = 420 })
lesson.key("unseen accuracy gained by self-training", gain)
