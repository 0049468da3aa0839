-- 01-digits.lua -- the first network: which digit was written here?
-- ids: T9 M14 L1 L6
-- takes: 1 s
-- expect: 0.95 1
--
-- What is asked.  1,797 small grey pictures of handwritten digits, 8 by 8 points, lie
-- beside the label that a person gave them.  From four in five of them a function is
-- to be found that names the digit of a picture it has never seen.
--
-- What is seen.  About 97 of 100 unseen digits are named, after a second of training.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, data, loss, metrics = mare.nn, mare.data, mare.loss, mare.metrics
local progress = require "mare.progress"

local args = lesson.options("01-digits.lua", "Trains a small network on handwritten digits.",
  { epochs = 60, hidden = 128, batch = 32, lr = 0.002,
    out = { "examples/out/digits.safetensors", "where the model is saved" } })

-- The data.  x is (1797, 64), the points' grey values in 0..1; y holds labels 1..10, a
-- digit plus one.  The test part is put aside and looked at once, at the end; the
-- validation part is watched during training.  Each part has all digits in proportion.
mare.seed(args.seed)
local digits = data.digits()
local rest, test = digits:split(0.8, { stratify = true, seed = args.seed })
local train, validation = rest:split(0.9, { stratify = true, seed = args.seed })
print(("%d pictures to learn from, %d to watch, %d for the test\n"):format(#train, #validation,
  #test))

-- The model.  Two affine maps, x w' + b, with a bend between them; without the bend they
-- would be one affine map.  What comes out is a score for each digit.
local function build()
  return nn.Sequential {
    nn.Linear(64, args.hidden),
    nn.ReLU(),
    nn.Linear(args.hidden, 10),
  }
end
local model = build()
print(model)
print()

-- The loss.  Softmax makes probabilities of the scores; cross-entropy is minus the
-- logarithm of the one that the true digit received.  Its gradient with respect to all
-- weights comes out of backward(), and Adam moves each weight a little against it.
local optimizer = mare.optim.adam(model:parameters(), { lr = args.lr })

local function learn(x, y)
  local _ <close> = mare.scope() -- frees at its end what the step computed
  optimizer:zero_grad()
  local l = loss.cross_entropy(model(x), y)
  l:backward()
  optimizer:step()
  return l:item()
end

-- The scores of a whole set.  Nothing is recorded for a gradient here.
local function scores(set)
  return mare.no_grad(function() return model(set.x) end)
end

local steps = math.ceil(#train / args.batch)
local line = progress.new { epochs = args.epochs, steps = steps, every = 5 }
for epoch = 1, args.epochs do
  for x, y in train:batches { size = args.batch, shuffle = true, seed = args.seed + epoch } do
    line:step(#x, learn(x, y))
  end
  line:pause()
  line:epoch { ["validation accuracy"] = metrics.accuracy(scores(validation), validation.y) }
end

-- What is seen.  The rows of the table are the digits as they were written, the columns
-- what they were taken for: confused pairs are the ones that look alike.
local names = {}
for digit = 0, 9 do names[digit + 1] = tostring(digit) end
local confusion = metrics.confusion(scores(test), test.y, { names = names })
print(("\ntest accuracy %.4f\n"):format(confusion:accuracy()))
print(confusion)
lesson.picture(mare.plot.confusion(confusion, { title = "unseen digits" }), "01-confusion",
  { width = 600, height = 500 })

-- The model is its numbers and their names; the layers are this program's.
os.execute("mkdir -p '" .. (args.out:match "^(.*)/" or ".") .. "'")
assert(model:save(args.out))
local again = assert(nn.load(build(), args.out))
print(("\nsaved to %s and read back\n"):format(args.out))

-- One picture of the test part, drawn with a character for each point.
local shades = { [0] = " ", ".", ":", "-", "=", "+", "*", "#", "@" }
local picture = test.x[1]
for _, row in ipairs(picture:reshape(8, 8):totable()) do
  for i, grey in ipairs(row) do
    local shade = shades[math.floor(grey * 8 + 0.5)]
    row[i] = shade .. shade
  end
  print("  " .. table.concat(row))
end
local probability = again(picture:reshape(1, 64)):softmax(2)
local guess = probability:argmax(2):item()
print(("\nthis is a %d (probability %.3f); it was written as a %d"):format(guess - 1,
  probability[{ 1, guess }]:item(), test.y[1]:item() - 1))
lesson.key("test accuracy", confusion:accuracy())
