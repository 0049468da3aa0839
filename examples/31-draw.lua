-- 31-draw.lua -- a network that draws digits nobody wrote.
-- ids: M20 M19
-- takes: 7 s
-- expect: 0.58 0.72
--
-- What is asked.  How could a machine draw?  A variational autoencoder (Kingma and Welling 2014)
-- learns two networks: one puts a picture at a place z in a small space, as a mean and a spread;
-- the other draws a picture from a place.  The loss has two parts: how badly the picture is
-- drawn again, and how far its places are from the standard normal.  The second makes the space
-- dense, so that a place drawn from that normal becomes a picture, too.
--
-- What is seen.  A classifier takes about two of three drawings surely for a digit, and of
-- pixels drawn by themselves one of 14.  The drawings are no copies.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("31-draw.lua", "A variational autoencoder of digits.",
  { epochs = 300, size = { 6, "numbers that a place has" }, hidden = 128 })
mare.seed(args.seed)
local train, test = mare.data.digits():split(0.8, { stratify = true, seed = args.seed })

-- -- the model ------------------------------------------------------------------------------

local function tower(inputs, outputs)
  return nn.Sequential { nn.Linear(inputs, args.hidden), nn.ReLU(),
    nn.Linear(args.hidden, args.hidden), nn.ReLU(), nn.Linear(args.hidden, outputs) }
end

local Autoencoder = nn.Module:extend("Autoencoder", {
  init = function(self, size)
    self.size = size
    self.encoder, self.decoder = tower(64, 2 * size), tower(size, 64)
  end,
  -- a place (n, size) for each picture: its mean, and the logarithm of its variance
  places = function(self, x)
    local mean, log_variance = table.unpack(self.encoder(x):chunk(2, 2))
    return mean, log_variance
  end,
  forward = function(self, x)
    local mean, log_variance = self:places(x)
    local z = mean + (log_variance / 2):exp() * mare.randn(mean.shape)
    return mare.cat({ self.decoder(z), mean, log_variance }, 2)
  end,
  draw = function(self, z)
    return mare.no_grad(function() return self.decoder(z):sigmoid() end)
  end,
})

-- Both parts of the loss, a picture: pixels as probabilities of being bright, and the
-- divergence of a normal from the standard one.
local function parts(out, x)
  local drawn = mare.bce_logits(out[{ {}, { 1, 64 } }], x):sum(2):mean()
  local mean = out[{ {}, { 65, 64 + args.size } }]
  local log_variance = out[{ {}, { 65 + args.size, -1 } }]
  local far = (mean:square() + log_variance:exp() - 1 - log_variance):sum(2):mean() / 2
  return drawn, far
end
local function criterion(out, x)
  local drawn, far = parts(out, x)
  return drawn + far
end

local model = Autoencoder(args.size)
local history = mare.train.fit(model, { data = mare.data.dataset(train.x, train.x),
  validation = mare.data.dataset(test.x, test.x), epochs = args.epochs, batch = 32,
  seed = args.seed, loss = criterion, progress = false,
  optimizer = mare.optim.adam(model:parameters(), { lr = 1e-3 }) })
model:eval()
lesson.title "loss of unseen pictures"
local drawn, far = mare.no_grad(function() return parts(model(test.x), test.x) end)
local mean_picture = train.x:mean(1, true):clamp(1e-4, 1 - 1e-4)
local plain = mare.loss.bce(mean_picture:expand(#test, 64):contiguous(), test.x):item() * 64
local sharp = mare.loss.bce(test.x:clamp(1e-6, 1 - 1e-6), test.x):item() * 64
print(("drawn again %.2f, divergence %.2f"):format(drawn:item(), far:item()))
print(("the mean picture for all: %.2f; the pictures themselves: %.2f"):format(plain, sharp))

-- -- drawing --------------------------------------------------------------------------------

-- Are the drawings like digits?  A classifier that learned from written ones says what it takes
-- them for, and how surely.
local judge = nn.Sequential { nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10) }
mare.train.fit(judge, { data = train, epochs = 30, batch = 32, seed = args.seed, progress = false,
  loss = mare.loss.cross_entropy, optimizer = mare.optim.adam(judge:parameters()) })

-- The part of pictures that the classifier gives one digit at least 0.9, and how many of
-- each digit there are.
local function judged(name, x)
  local p, digit = mare.train.predict(judge, x):softmax(2):max(2)
  local counts = mare.zeros({ 10 }, "i64"):index_add(1, digit, mare.ones({ x:size(1) }, "i64"))
  local sure = p:gt(0.9):to("f32"):mean():item()
  print(("%-22s %5.1f%% surely a digit; 0 to 9: %s"):format(name, 100 * sure,
    table.concat(counts:totable(), " ")))
  return sure, digit
end
lesson.title "what a classifier takes them for"
local z = mare.randn(1000, args.size)
local new = model:draw(z)
judged("written, unseen", test.x)
local sure, digit = judged("drawn by the network", new)
judged("pixels of the mean", (mean_picture + train.x:std(1) *
  mare.randn(1000, 64)):clamp(0, 1))

-- Is a drawing a copy?  The distance from the nearest picture that was learned from.
local function nearest(x)
  return (x:square():sum(2, true) + train.x:square():sum(2):unsqueeze(1)
    - x:matmul(train.x:t()) * 2):clamp(0, math.huge):min(2):sqrt():mean():item()
end
print(("distance from the nearest known picture: drawings %.2f, unseen written ones %.2f"):format(
  nearest(new), nearest(test.x)))

print "The drawings are no copies.  They are softer than what was written: where the network is in"
print "doubt it draws the mean of what it could be."

local titles = {}
for i = 1, 24 do titles[i] = tostring(digit[i]:item() - 1) end
lesson.picture(plot.image(new:narrow(1, 1, 24):reshape(24, 8, 8), { columns = 8,
  titles = titles, title = "drawn by the network (what a classifier takes it for)" }), "31-drawn",
  { width = 1000, height = 440 })

-- From one written picture to another: places on the line between theirs.
local a, b = test.x[1], test.x[2]
local path = mare.no_grad(function()
  local ends = model:places(test.x:narrow(1, 1, 2))
  local from, to = ends:narrow(1, 1, 1), ends:narrow(1, 2, 1)
  local list = { a:reshape(8, 8) }
  for k = 0, 6 do
    list[#list + 1] = model:draw(from + (to - from) * (k / 6)):reshape(8, 8)
  end
  list[#list + 1] = b:reshape(8, 8)
  return list
end)
lesson.picture(plot.image(path, { columns = 9, title = "from one written picture to another",
  titles = { "written", "1", "2", "3", "4", "5", "6", "7", "written" } }), "31-between",
  { width = 1100, height = 200 })
lesson.picture(plot.line({ history:values "loss", history:values "validation_loss" }, {
  labels = { "known", "unseen" }, title = "loss", xlabel = "epoch", ylabel = "loss a picture" }),
  "31-loss")
lesson.key("part of the drawings that is surely a digit", sure)
