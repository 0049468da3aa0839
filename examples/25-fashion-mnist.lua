-- 25-fashion-mnist.lua -- as the digits, on 70,000 pictures: which piece of clothing?
-- ids: M14 L6 L7 T9
-- takes: 7 s
-- expect: 0.87 0.9
--
-- What is asked.  28 by 28 grey pictures of ten kinds of clothing, 60,000 to learn from
-- and 10,000 for the test: the size of a real task, in under a minute.  What is new is
-- only what size asks for: pictures stay bytes until a batch needs them, validation and
-- test go in pieces, and the learning rate falls as training goes on.
--
-- What is seen.  88 of 100 unseen pieces are named in seconds.  Shirts are the hard ones,
-- between T-shirts, pullovers and coats.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, data, loss, metrics = mare.nn, mare.data, mare.loss, mare.metrics
local progress, schedule = require "mare.progress", require "mare.schedule"

local args = lesson.options("25-fashion-mnist.lua", "Trains a network on Fashion-MNIST.",
  { epochs = 5, hidden = 256, batch = 64, lr = 0.003, dropout = 0.1,
    limit = { 57000, "use only so many training pictures" },
    out = { "examples/out/fashion.safetensors", "where the model is saved" } })

local names = { "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
  "bag", "boot" }

-- The data: images are u8 (n, 28, 28), 0.8 KB each; a batch of them becomes f32 in 0..1.
mare.seed(args.seed)
local found, all, test = pcall(data.fashion_mnist)
if not (found and all) then
  lesson.skip "Debian's package dataset-fashion-mnist is not installed"
end
local train, validation = all:split(0.95, { stratify = true, seed = args.seed })
if args.limit < #train then train = train:split(args.limit, { seed = args.seed }) end
print(("%d pictures to learn from, %d to watch, %d for the test\n"):format(#train, #validation,
  #test))

-- The model.  Flatten makes a row of each picture.  In training, Dropout leaves some
-- hidden units out at random, so that no unit can lean on another one alone.
local function build()
  return nn.Sequential {
    nn.Flatten(),
    nn.Linear(784, args.hidden),
    nn.ReLU(),
    nn.Dropout(args.dropout),
    nn.Linear(args.hidden, 10),
  }
end
local model = build()
print(model)
print()

-- The optimisation: the rate climbs for 100 steps, then follows half a cosine to 0.
local steps = math.ceil(#train / args.batch)
local rate = schedule.warmup(100, schedule.cosine(args.lr, math.max(1, args.epochs * steps - 100)))
local optimizer = mare.optim.adam(model:parameters(), { lr = rate })

local function learn(x, y)
  local _ <close> = mare.scope()
  optimizer:zero_grad()
  local l = loss.cross_entropy(model(x), y)
  l:backward()
  optimizer:step()
  return l:item()
end

-- The predicted labels of a set, 1,000 pictures at a time.
local function predict(net, set)
  net:eval()
  local labels = {}
  for x in set:batches { size = 1000 } do
    local piece <close> = mare.scope()
    labels[#labels + 1] = piece:keep(mare.no_grad(function() return net(x):argmax(2) end))
  end
  net:train()
  return mare.cat(labels, 1)
end

local line = progress.new { epochs = args.epochs, steps = steps }
for epoch = 1, args.epochs do
  for x, y in train:batches { size = args.batch, shuffle = true, seed = args.seed + epoch } do
    line:step(#x, learn(x, y))
  end
  line:pause()
  local accuracy = metrics.accuracy(predict(model, validation), validation.y)
  line:epoch { ["validation accuracy"] = accuracy }
end

-- What is seen: shirts are the hard ones, between T-shirts, pullovers and coats.
local confusion = metrics.confusion(predict(model, test), test.y, { names = names })
print(("\ntest accuracy %.4f\n"):format(confusion:accuracy()))
print(confusion)
lesson.picture(mare.plot.confusion(confusion, { title = "unseen pieces of clothing" }),
  "25-confusion", { width = 800, height = 600 })

os.execute("mkdir -p '" .. (args.out:match "^(.*)/" or ".") .. "'")
assert(model:save(args.out))
local again = assert(nn.load(build(), args.out)):eval()
print(("\nsaved to %s and read back\n"):format(args.out))

-- One picture of the test part, every second row, a character for each point.
local shades = { [0] = " ", ".", ":", "-", "=", "+", "*", "#", "%", "@" }
local picture = test.x[1]
for i, row in ipairs(picture:totable()) do
  for j, grey in ipairs(row) do row[j] = shades[(grey * 9 + 127) // 255] end
  if i % 2 == 1 then print("  " .. table.concat(row)) end
end
local x = picture:to("f32"):div(255):unsqueeze(1)
local probability = again(x):softmax(2)
local guess = probability:argmax(2):item()
print(("\nthis is a %s (probability %.3f); it is labelled %s"):format(names[guess],
  probability[{ 1, guess }]:item(), names[test.y[1]:item()]))
lesson.key("test accuracy", confusion:accuracy())
