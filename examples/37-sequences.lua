-- 37-sequences.lua -- from one sequence to another of a different length.
-- ids: M19 M20
-- takes: 5 s
-- expect: 0.93 1
--
-- What is asked.  "three hundred five" is 305, "forty" is 40: words come in, digits go out, and
-- neither has a fixed length.  Which word a digit comes from changes: the last digit may be from
-- the third word or from the first, or from none.
--
-- The model.  A network with attention (Vaswani and others 2017) that reads the words and the
-- digits so far as one sequence and says which sign comes next: "three hundred five = 3 0 5 ."
-- Attention looks at all earlier places and takes most from those that fit its question.  The
-- loss is the cross-entropy of the signs after "=".  In use, the likeliest sign is appended.
--
-- What is seen.  97 of 100 numbers that were never seen are written without a mistake.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("37-sequences.lua", "Numbers in words become digits.",
  { known = { 700, "numbers to learn from, of 999" }, epochs = 60,
    width = { 32, "width of the model" }, heads = { 4, "heads of its attention" },
    layers = { 2, "layers of it" } })
mare.seed(args.seed)

-- -- the data -------------------------------------------------------------------------------

local ones = { "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
  "nineteen" }
local tens = { "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety" }
local function words(n)
  local list = {}
  if n >= 100 then list[1], list[2], n = ones[n // 100], "hundred", n % 100 end
  if n >= 20 then list[#list + 1], n = tens[n // 10], n % 10 end
  if n > 0 then list[#list + 1] = ones[n] end
  return list
end

-- Signs as numbers from 1 on; 1 fills up short sequences.
local signs, code = {}, {}
for _, group in ipairs { { "", ".", "=", "hundred" }, ones, tens } do
  for _, s in ipairs(group) do signs[#signs + 1], code[s] = s, #signs + 1 end
end
for d = 0, 9 do signs[#signs + 1], code[tostring(d)] = tostring(d), #signs + 1 end
local function sequence(n)
  local list = {}
  for i, w in ipairs(words(n)) do list[i] = code[w] end
  list[#list + 1] = code["="]
  local asked = #list
  for d in tostring(n):gmatch "." do list[#list + 1] = code[d] end
  list[#list + 1] = code["."]
  return list, asked
end

-- x (n, time) of signs, y the same one place later; -1, which the loss ignores, for the words.
local time = 8
local function dataset(numbers)
  local x, y = {}, {}
  for i, n in ipairs(numbers) do
    local list, asked = sequence(n)
    x[i], y[i] = {}, {}
    for k = 1, time do
      x[i][k] = list[k] or 1
      y[i][k] = k >= asked and list[k + 1] or -1
    end
  end
  return mare.data.dataset(mare.tensor(x, "i64"), mare.tensor(y, "i64"))
end
local order = mare.randperm(999):totable()
local known = table.move(order, 1, args.known, 1, {})
local unseen = table.move(order, args.known + 1, 999, 1, {})
local train, test = dataset(known), dataset(unseen)

-- -- the model ------------------------------------------------------------------------------

local V = #signs
local Reader = nn.Module:extend("Reader", {
  init = function(self)
    self.embed = nn.Embedding(V, args.width)
    self.places = nn.LearnedPositions(args.width, 16)
    self.layers = {}
    for i = 1, args.layers do
      self.layers[i] = nn.TransformerEncoderLayer(args.width, args.heads, { dropout = 0 })
    end
    self.out = nn.Linear(args.width, V)
  end,
  forward = function(self, x)
    local h = self.places(self.embed(x))
    for _, layer in ipairs(self.layers) do h = layer(h, { causal = true }) end
    return self.out(h)
  end,
})
local function criterion(logits, y)
  return mare.loss.cross_entropy(logits:reshape(-1, V), y:reshape(-1), { ignore_index = -1 })
end
local model = Reader()
local steps = -(-args.known // 32) * args.epochs
local history = mare.train.fit(model, { data = train, validation = test, epochs = args.epochs,
  batch = 32, seed = args.seed, loss = criterion, clip_norm = 1, progress = false,
  optimizer = mare.optim.adam(model:parameters(),
    { lr = mare.schedule.warmup(100, mare.schedule.cosine(3e-3, steps - 100)) }) })
model:eval()

-- The digits that the network writes after the words of n.
local function answer(n)
  local list, asked = sequence(n)
  list = table.move(list, 1, asked, 1, {})
  for _ = 1, 4 do
    local _ <close> = mare.scope()
    local logits = mare.no_grad(function() return model(mare.tensor({ list }, "i64")) end)
    local sign = logits[{ 1, #list }]:argmax(1):item()
    if signs[sign] == "." then break end
    list[#list + 1] = sign
  end
  local text = {}
  for k = asked + 1, #list do text[#text + 1] = signs[list[k]] end
  return table.concat(text)
end

lesson.title "numbers that were never seen"
local function right(numbers, show)
  local count = 0
  for i, n in ipairs(numbers) do
    local text = answer(n)
    if text == tostring(n) then count = count + 1 end
    if i <= show then print(("%-32s %s"):format(table.concat(words(n), " "), text)) end
  end
  return count / #numbers
end
local exact = right(unseen, 8)
print(("of %d unseen numbers %.3f are written without a mistake; of known ones %.3f"):format(
  #unseen, exact, right(table.move(known, 1, 100, 1, {}), 0)))

-- Where each sign looks: the weights of the last layer, the mean of its heads.
local list = sequence(327)
local looked = mare.no_grad(function()
  local h = model.places(model.embed(mare.tensor({ list }, "i64")))
  for i = 1, args.layers - 1 do h = model.layers[i](h, { causal = true }) end
  local _, weights = model.layers[args.layers].attention(h, nil, nil, { causal = true })
  return weights[1]:mean(1)
end)
local names = {}
for i, s in ipairs(list) do names[i] = signs[s] end
lesson.picture(plot.heatmap(looked, { rows = names, columns = names, xlabel = "looks at",
  ylabel = "place", title = "attention of the last layer" }), "37-attention")
lesson.picture(plot.line({ history:values "loss", history:values "validation_loss" }, {
  labels = { "known", "unseen" }, title = "loss of the signs after =", xlabel = "epoch",
  ylabel = "cross-entropy", ylog = true }), "37-loss")
lesson.key("unseen numbers without a mistake", exact)
