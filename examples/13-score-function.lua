-- 13-score-function.lua -- one template for each class: f(x) = W x + b on images.
-- ids: M7 M14 T8 L1 L3
-- takes: 1 s
-- expect: 0.63 0.85
-- expect: 0.2 0.5
--
-- What is asked.  A 32x32 picture in colour is 3,072 numbers, a point in a space of 3,072
-- dimensions.  A row of W for each of ten classes scores it.  Two losses say what is wrong
-- with the scores: the hinge (margin) loss and softmax, each with an L2 penalty on W.
--
-- With --cifar DIR the pictures are CIFAR-10's (its binary version); otherwise they are
-- made here: each class has a colour and a stripe of its own, under much noise.
--
-- What is seen.  Softmax names three of four unseen pictures, hinge two of three; the rows of
-- W show the stripes that were put in.  Too heavy a penalty costs a third of the answers.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, loss, plot = mare.nn, mare.loss, mare.plot
local args = lesson.options("13-score-function.lua", "Linear scores of images.",
  { cifar = { "", "folder of CIFAR-10, binary version" },
    images = { 2000, "pictures in all" }, epochs = 10, penalty = { 1e-3, "weight of |W|^2" } })
mare.seed(args.seed)

-- (n, 3, 32, 32) f32 and labels 1..10
local function generated(n)
  local y = mare.randint(1, 10, n, "i64")
  local colours = mare.rand(10, 3, 1, 1)
  local across = mare.linspace(0, 1, 32):reshape(1, 1, 1, 32)
  local down = mare.linspace(0, 1, 32):reshape(1, 1, 32, 1)
  local angle = mare.arange(0, 9, "f32"):reshape(10, 1, 1, 1) * 0.314
  local stripes = ((across * angle:cos() + down * angle:sin()) * 12):sin() * 0.03
  local templates = 0.5 + (colours - 0.5) * 0.04 + stripes
  local x = templates:index_select(1, y) + mare.randn(n, 3, 32, 32) * 0.35
  return x:clamp(0, 1), y
end

local x, y
if args.cifar ~= "" then
  local train = assert(mare.data.cifar10(args.cifar))
  local order = mare.randperm(#train) -- i64: which of them are taken, in which order
  x, y = train:batch(order:narrow(1, 1, math.min(args.images, #train)))
else
  x, y = generated(args.images)
end
x = x:reshape(#x, -1)
x = x - x:mean(1, true)                   -- zero mean: the first step of preprocessing
local train, test = mare.data.dataset(x, y):split(0.8, { seed = args.seed })
print(("%d pictures of %d numbers each"):format(#x, x:size(2)))

local function train_with(name, criterion, times)
  mare.seed(args.seed)
  local model = nn.Linear(3072, 10)
  local history = mare.train.fit(model, { data = train, validation = test, epochs = args.epochs,
    loss = criterion, batch = 50, seed = args.seed, metrics = { "accuracy" }, progress = false,
    penalty = function() return loss.l2({ model.weight }) * (args.penalty * (times or 1)) end,
    optimizer = mare.optim.sgd(model:parameters(), { lr = 0.01, momentum = 0.9 }) })
  local last = history[#history]
  print(("%-31s training loss %.3f, unseen loss %.3f, unseen accuracy %.3f"):format(name, last.loss,
    last.validation_loss, last.validation_accuracy))
  return model, last.validation_accuracy, history
end

lesson.title "by hand: four numbers, three classes"
local pixels = mare.tensor { 50, 200, 10, 30 }
local W = mare.tensor { { 0.2, -0.4, 0.1, 1.5 }, { 1.2, 1.0, 2.0, 0.1 }, { 0.1, 0.3, 0.2, -0.2 } }
local scores = W:matmul(pixels) + mare.tensor { 1, 3, -1 }
print(("cat %.1f, dog %.1f, ship %.1f; if it is a cat, the hinge loss is %.1f, softmax's %.1f")
  :format(scores[1]:item(), scores[2]:item(), scores[3]:item(),
  ((scores - scores[1] + 1):relu():sum() - 1):item(),
  loss.cross_entropy(scores:unsqueeze(1), mare.tensor({ 1 }, "i64")):item()))
-- Softmax makes probabilities of scores: positive, and together 1.
local three = mare.tensor { 3, 1, -3 }
print(("scores 3, 1, -3 become e^3, e^1, e^-3 = %.2f, %.2f, %.2f; over their sum: %.2f, %.2f, %.3f")
  :format(table.unpack(mare.cat({ three:exp(), three:softmax(1) }, 1):totable())))
-- Two rows of weights with the same scores on this picture; the penalty prefers the second,
-- which does not lean on one pixel alone.
local flat, a, b = mare.ones(4), mare.tensor { 1, 0, 0, 0 }, mare.full({ 4 }, 0.25)
print(("(1, 0, 0, 0) and four times 1/4 both score %g and %g on a grey picture; |w|^2 is %g and %g")
  :format(a:dot(flat):item(), b:dot(flat):item(), a:square():sum():item(),
    b:square():sum():item()))

lesson.title "two losses"
local _, hinge, first = train_with("hinge", loss.multi_margin)
local model, softmax, second = train_with("softmax", loss.cross_entropy)
local _, heavy = train_with("softmax, 500 times the penalty", loss.cross_entropy, 500)

lesson.title "what was learned: a template for each class"
local templates = model.weight:detach():reshape(10, 3, 32, 32):permute(1, 3, 4, 2)
local pictures = {}
for k = 1, 10 do pictures[k] = templates[k] end
lesson.picture(plot.image(pictures, { columns = 5, titles = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 },
  title = "rows of W as pictures" }), "13-templates", { width = 1000, height = 450 })
lesson.picture(plot.grid({
  plot.line({ first:values "loss", first:values "validation_loss" }, { title = "hinge loss",
    labels = { "training", "unseen" }, xlabel = "epoch", ylabel = "loss" }),
  plot.line({ second:values "loss", second:values "validation_loss" }, { title = "softmax",
    labels = { "training", "unseen" }, xlabel = "epoch", ylabel = "loss" }),
}, { columns = 2 }), "13-losses", { width = 1000, height = 400 })
lesson.key("unseen accuracy, the better of both", math.max(hinge, softmax))
lesson.key("accuracy lost by too heavy a penalty", softmax - heavy)
