-- 02-fashion-mnist.lua -- the same on 70,000 pictures: which piece of clothing?
-- ids: T8 M14 L6 L7
--
-- What is asked.  28 by 28 grey pictures of ten kinds of clothing, 60,000 to learn from
-- and 10,000 for the test: the size of a real task, in under a minute.  What is new is
-- only what size asks for: pictures stay bytes until a batch needs them, validation and
-- test go in pieces, and the learning rate falls as training goes on.

local mare = require "mare"
local argparse = require "argparse"
local nn, data, loss, metrics = mare.nn, mare.data, mare.loss, mare.metrics
local progress, schedule = require "mare.progress", require "mare.schedule"

local function positive(text)
  local n = tonumber(text)
  if n and n > 0 then return n end
  return nil, ("a number above 0 expected, got '%s'"):format(text)
end

local function count(text)
  local n = math.tointeger(positive(text))
  if n then return n end
  return nil, ("a whole number from 1 on expected, got '%s'"):format(text)
end

local parser = argparse("02-fashion-mnist.lua", "Trains a network on Fashion-MNIST.")
parser:option("--seed", "begins the random numbers", 1, count)
parser:option("--epochs", "passes over the training pictures", 5, count)
parser:option("--hidden", "units of the hidden layer", 256, count)
parser:option("--batch", "pictures in a step", 64, count)
parser:option("--lr", "learning rate at its highest", 0.003, positive)
parser:option("--dropout", "part of the hidden units left out of a step", 0.1, tonumber)
parser:option("--limit", "use only so many training pictures", nil, count)
parser:option("--out", "where the model is saved", "examples/out/fashion.safetensors")
local args = parser:parse()

local names = { "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
  "bag", "boot" }

-- The data: images are u8 (n, 28, 28), 0.8 KB each; a batch of them becomes f32 in 0..1.
mare.seed(args.seed)
local all, test = assert(data.fashion_mnist())
local train, validation = all:split(0.95, { stratify = true, seed = args.seed })
if args.limit then train = train:split(args.limit, { seed = args.seed }) end
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
