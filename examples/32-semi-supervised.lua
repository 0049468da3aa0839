-- 32-semi-supervised.lua -- a few labels and many pictures without.
-- ids: M19
-- takes: 30 s
-- expect: 0.015 0.07
-- expect: 0.08 0.12
--
-- What is asked.  Labels are dear, pictures are cheap.  Of 1,438 digits only 40 have a label;
-- what are the others good for?  Only who supposes something can learn from them:
--   low density   the boundary between classes lies where there are few pictures, so that a good
--                 classifier is sure about nearly all of them.  Entropy regularisation adds the
--                 uncertainty about the unlabelled pictures to the loss (Grandvalet and Bengio
--                 2004); self-training takes sure answers for labels and learns from them again.
--   smoothness    pictures that are alike have the same label: labels spread from neighbour to
--                 neighbour (Zhou and others 2004), and no network is needed.
-- One choice of 40 pictures may be lucky: all is done for several choices, and the mean counts.
--
-- What is seen.  Over ten choices of the 40 pictures, self-training with entropy gains 3 or 4
-- points of accuracy on average, and is better in 8 to 10 of them; spreading gains 10 points,
-- always.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("32-semi-supervised.lua", "Learning from few labels and many pictures.",
  { labels = { 4, "labelled pictures of each digit" }, steps = 400,
    weight = { 0.3, "weight of the entropy" }, rounds = { 3, "rounds of self-training" },
    choices = { 10, "choices of the labelled pictures" } })

-- `labels` pictures of each digit keep their label.
local function draw(seed)
  local train, test = mare.data.digits():split(0.8, { stratify = true, seed = seed })
  local count, with, without = {}, {}, {}
  for i, d in ipairs(train.y:totable()) do
    count[d] = (count[d] or 0) + 1
    table.insert(count[d] <= args.labels and with or without, i)
  end
  return train, train:subset(with), train:subset(without), test
end

-- The mean entropy of the answers, in nats: 0 where all are sure.
local function entropy(logits)
  return -(logits:softmax(2) * logits:log_softmax(2)):sum(2):mean()
end
local function accuracy(model, of)
  return mare.train.evaluate(model, of, { metrics = { "accuracy" } }).accuracy
end

-- Steps with x, y and, where the entropy has a weight, a part of the pictures without labels.
local function learn(seed, x, y, many, weight)
  mare.seed(seed)
  local model = nn.Sequential { nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10) }
  local opt = mare.optim.adamw(model:parameters(), { lr = 3e-3, weight_decay = 0.05 })
  for step = 1, args.steps do
    local _ <close> = mare.scope()
    local l = mare.loss.cross_entropy(model(x), y)
    if weight > 0 then
      -- first learn something, then become sure
      local now = weight * math.min(1, 2 * step / args.steps)
      local rows = mare.randint(1, #many, 128, "i64")
      l = l + now * entropy(model(many.x:index_select(1, rows)))
    end
    opt:zero_grad()
    l:backward()
    opt:step()
  end
  return model:eval()
end

-- The surest answers for every digit, a part of all, as rows and labels.
local function sure_answers(model, many, part)
  local p, digit = mare.train.predict(model, many.x):softmax(2):max(2)
  local rows = {}
  for d = 1, 10 do
    local own = digit:eq(d):nonzero():reshape(-1)
    local k = math.ceil(#own * part)
    if k > 0 then
      local _, at = p:index_select(1, own):topk(k)
      rows[#rows + 1] = own:index_select(1, at)
    end
  end
  rows = mare.cat(rows, 1)
  return rows, digit:index_select(1, rows)
end

local function self_train(seed, few, many, model)
  local right
  for round = 1, args.rounds do
    local rows, found = sure_answers(model, many, 0.9 * round / args.rounds)
    right = found:eq(many.y:index_select(1, rows)):to("f32"):mean():item()
    model = learn(seed, mare.cat({ few.x, many.x:index_select(1, rows) }, 1),
      mare.cat({ few.y, found }, 1), many, args.weight)
  end
  return model, right
end

-- Labels spread: each picture takes the mean of its ten nearest, and those that have a label keep
-- a part of it.  All pictures take part, the unseen ones without their labels.
local function spread(few, many, test)
  local x = mare.cat({ few.x, many.x, test.x }, 1)
  local n, s = #x, x:square():sum(2)
  local distance = s:unsqueeze(2) + s:unsqueeze(1) - x:matmul(x:t()) * 2 + mare.eye(n) * 1e6
  local _, near = (-distance):topk(10, 2)
  local links = mare.zeros(n, n):scatter_add(2, near, mare.ones(n, 10))
  links = links:maximum(links:t())
  local root = links:sum(2):rsqrt()
  links = links * root:unsqueeze(2) * root:unsqueeze(1)
  local given = mare.cat({ mare.eye(10):index_select(1, few.y), mare.zeros(n - #few, 10) }, 1)
  local f = given
  for _ = 1, 50 do f = 0.95 * links:matmul(f) + 0.05 * given end
  return f:narrow(1, n - #test + 1, #test):argmax(2):eq(test.y):to("f32"):mean():item()
end

lesson.title "unseen accuracy"
print "choice   labels alone   entropy   self-training   spreading   all labels"
local names = { "labels alone", "entropy", "self-training", "spreading", "all labels" }
local found, rights = { {}, {}, {}, {}, {} }, 0
for k = 1, args.choices do
  local seed = args.seed * 100 + k
  local train, few, many, test = draw(seed)
  local plain = learn(seed, few.x, few.y, many, 0)
  local regular = learn(seed, few.x, few.y, many, args.weight)
  local own, right = self_train(seed, few, many, regular)
  rights = rights + right / args.choices
  local row = { accuracy(plain, test), accuracy(regular, test), accuracy(own, test),
    spread(few, many, test), accuracy(learn(seed, train.x, train.y, many, 0), test) }
  for i, v in ipairs(row) do found[i][k] = v end
  print(("%6d   %12.3f   %7.3f   %13.3f   %9.3f   %10.3f"):format(k, table.unpack(row)))
end

lesson.title "gained over the labels alone"
local means, gains, base = {}, {}, mare.tensor(found[1], "f64")
for i, name in ipairs(names) do
  local gain = mare.tensor(found[i], "f64") - base
  means[i], gains[i] = mare.tensor(found[i], "f64"):mean():item(), gain:mean():item()
  print(("%-14s mean %.3f; gain %+.3f, spread %.3f, better in %d of %d"):format(name, means[i],
    gains[i], #gain > 1 and gain:std():item() or 0, gain:gt(0):sum():item(), args.choices))
end
print(("%.1f%% of the answers that were taken for labels in the last round were right."):format(
  100 * rights))
lesson.picture(plot.grid({
  plot.line(mare.arange(1, args.choices), found, { labels = names, marks = true,
    title = "each choice of the labelled", xlabel = "choice", ylabel = "unseen accuracy" }),
  plot.bar(means, { labels = names, title = "means", xlabel = "learned from",
    ylabel = "unseen accuracy" }),
}, { columns = 2 }), "32-semi-supervised", { width = 1200, height = 450 })
lesson.key("mean accuracy gained by self-training with entropy", gains[3])
lesson.key("mean accuracy gained by spreading", gains[4])
