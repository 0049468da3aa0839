-- 36-gan.lua -- two networks against each other: a forger and a judge.
-- ids: M19 M20
-- takes: 20 s
-- expect: 0.55 0.8
-- expect: 9.5 10
--
-- What is asked.  The autoencoder of lesson 31 says how probable each pixel is, and where it is in
-- doubt it draws the mean.  Is there a loss that asks for a whole drawing to look true?  A
-- generative adversarial network (Goodfellow and others 2014) learns that loss, too: the forger
-- makes pictures of random numbers, the judge says which pictures were written by people.  The
-- judge lowers the cross-entropy of its answers; the forger changes its weights so that the judge
-- takes drawings for written ones.  Both take turns; neither loss has to fall.
--
-- What is seen.  About two of three drawings are surely digits, and all ten kinds are there,
-- which took the judge the longest to enforce.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot, loss = mare.nn, mare.plot, mare.loss
local args = lesson.options("36-gan.lua", "A generative adversarial network draws digits.",
  { steps = 12000, batch = 64, size = { 16, "random numbers that make a picture" }, hidden = 128 })
mare.seed(args.seed)
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })

-- -- the models -----------------------------------------------------------------------------

local function leaky() return nn.LeakyReLU(0.2) end
local forger = nn.Sequential { nn.Linear(args.size, args.hidden), nn.ReLU(),
  nn.Linear(args.hidden, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 64), nn.Sigmoid() }
local judge = nn.Sequential { nn.Linear(64, args.hidden), leaky(), nn.Dropout(0.3),
  nn.Linear(args.hidden, args.hidden), leaky(), nn.Dropout(0.3), nn.Linear(args.hidden, 1) }
local forger_opt = mare.optim.adam(forger:parameters(), { lr = 1e-3, beta1 = 0.5 })
local judge_opt = mare.optim.adam(judge:parameters(), { lr = 5e-4, beta1 = 0.5 })

local function noise(n) return mare.randn(n, args.size) end
local function written(n) -- n pictures, drawn at random
  return train.x:index_select(1, mare.randint(1, #train, n, "i64"))
end
-- A target of 0.9 instead of 1 keeps the judge from being too sure.
local yes, no = mare.full({ args.batch, 1 }, 0.9), mare.zeros(args.batch, 1)
local one = mare.ones(args.batch, 1)

local function judge_step()
  local _ <close> = mare.scope()
  local drawn = mare.no_grad(function() return forger(noise(args.batch)) end)
  judge_opt:zero_grad()
  local l = loss.bce_logits(judge(written(args.batch)), yes) + loss.bce_logits(judge(drawn), no)
  l:backward()
  judge_opt:step()
  return l:item() / 2
end

local function forger_step()
  local _ <close> = mare.scope()
  forger_opt:zero_grad()
  local l = loss.bce_logits(judge(forger(noise(args.batch))), one)
  l:backward()
  forger_opt:step()
  return l:item()
end

-- -- what the drawings are judged by --------------------------------------------------------

-- A classifier that never saw a drawing: how surely are they digits, and are all ten there?
local reader = nn.Sequential { nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10) }
mare.train.fit(reader, { data = train, epochs = 30, batch = 32, seed = args.seed, progress = false,
  loss = loss.cross_entropy, optimizer = mare.optim.adam(reader:parameters()) })
local function read(x)
  local p, digit = mare.train.predict(reader, x):softmax(2):max(2)
  local counts = mare.zeros({ 10 }):index_add(1, digit, mare.ones(#x))
  local part = counts / #x
  local kinds = (-(part * part:clamp(1e-9, 1):log()):sum()):exp():item()
  return p:gt(0.9):to("f32"):mean():item(), kinds, digit, counts
end
local function draw(n)
  return mare.no_grad(function() return forger(noise(n)) end)
end
local function report(name, x)
  local sure, kinds, _, counts = read(x)
  print(("%-22s %5.1f%% surely a digit; as many kinds as %.1f; 0 to 9: %s"):format(name, 100 * sure,
    kinds, table.concat(counts:to("i64"):totable(), " ")))
  return sure, kinds
end

lesson.title "before"
report("drawn before training", draw(1000))

lesson.title "training"
local judges, forgers, sures, steps, shown, titles = {}, {}, {}, {}, {}, {}
local fixed = noise(8) -- the same random numbers, seen again and again
local each = math.max(1, args.steps // 40)
local sum_j, sum_f = 0, 0
for step = 1, args.steps do
  sum_j, sum_f = sum_j + judge_step(), sum_f + forger_step()
  if step % each == 0 then
    local k = #steps + 1
    steps[k], judges[k], forgers[k] = step, sum_j / each, sum_f / each
    sum_j, sum_f = 0, 0
    sures[k] = read(draw(500))
    if k % 10 == 0 then
      print(("step %5d: loss of the judge %.3f, of the forger %.3f; %.1f%% surely a digit"):format(
        step, judges[k], forgers[k], 100 * sures[k]))
      local now = mare.no_grad(function() return forger(fixed) end)
      for i = 1, 8 do
        shown[#shown + 1] = now[i]:reshape(8, 8)
        titles[#titles + 1] = i == 1 and "step " .. step or " "
      end
    end
  end
end
print(("A judge that only guesses has the loss %.3f."):format(math.log(2)))

lesson.title "after"
report("written, unseen", test.x)
local sure, kinds = report("drawn by the forger", draw(1000))
print "At first the forger draws a few digits only, those that the judge is easily deceived by; the"
print "judge learns to suspect them, and the others come."
lesson.picture(plot.image(shown, { columns = 8, titles = titles,
  title = "drawn from the same random numbers, again and again" }), "36-drawn",
  { width = 1000, height = 560 })
lesson.picture(plot.grid({
  plot.line(steps, { judges, forgers }, { labels = { "judge", "forger" }, title = "losses",
    xlabel = "step", ylabel = "cross-entropy" }),
  plot.line(steps, sures, { title = "surely a digit, says a classifier", xlabel = "step",
    ylabel = "part of the drawings" }),
}, { columns = 2 }), "36-training", { width = 1000, height = 420 })
lesson.key("part of the drawings that is surely a digit", sure)
lesson.key("kinds of digits among them", kinds)
