-- 30-text.lua -- a network that writes.
-- ids: M20 M19
-- takes: 30 s
-- expect: 1.12 1.16
--
-- What is asked.  Which character comes next?  Who can answer that can write.  A bigram model
-- looks at the last character only; a recurrent network carries a state along, in which it keeps
-- what it needs later.  In these counting rhymes the number that is left depends on two numbers
-- far back in the line, and the way to leave on the animal.
--
-- What is seen.  The perplexity falls from 3.7 (bigrams) to 1.13 or 1.14, where 1.127 is the
-- least there is.  Nearly all lines it writes have the form and the right verb, most the
-- right sum.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("30-text.lua", "A recurrent network writes counting rhymes.",
  { lines = { 1600, "rhymes to learn from" }, epochs = 20, hidden = 96 })
mare.seed(args.seed)

local numbers = { "one", "two", "three", "four", "five", "six" }
local animals = { "crows", "hens", "frogs", "carps", "moles", "snakes" }
local leaves = { crows = "flew", hens = "ran", frogs = "hopped", carps = "swam", moles = "dug",
  snakes = "slid" }

local function draw(n) return mare.randint(1, n, 1, "i64"):item() end
-- A line, and the logarithm of how many lines it was chosen from.
local function verse()
  local n, animal = 1 + draw(#numbers - 1), animals[draw(#animals)]
  local k = draw(n - 1)
  return ("%s %s, %s %s off, %s left.\n"):format(numbers[n], animal, numbers[k], leaves[animal],
    numbers[n - k]), math.log((#numbers - 1) * #animals * (n - 1))
end

local alphabet, code = {}, {} -- characters as numbers from 1 on
for c in ("\n .,abcdefghijklmnopqrstuvwxyz"):gmatch "." do
  alphabet[#alphabet + 1], code[c] = c, #alphabet + 1
end

-- Lines as rows x (n, width) that begin with the end of the line before, and y with the same
-- one character later; -1, which the loss ignores, where a line is over.  And the sum of the
-- logarithms.
local width = 44
local function compose(lines)
  local x, y, surprise = {}, {}, 0
  for i = 1, lines do
    local line, chosen = verse()
    if i == 1 then io.write(line) end
    x[i], y[i], surprise = {}, {}, surprise + chosen
    for k = 1, width do
      x[i][k] = k > 1 and code[line:sub(k - 1, k - 1)] or code["\n"]
      y[i][k] = code[line:sub(k, k)] or -1
    end
  end
  return mare.data.dataset(mare.tensor(x, "i64"), mare.tensor(y, "i64")), surprise
end
local known = compose(args.lines)
local new, surprise = compose(200)
print(("There are %d such lines; %d were drawn to learn from, nearly all of them often."):format(
  #animals * #numbers * (#numbers - 1) // 2, args.lines))

-- How often each character follows each; one is added, so that nothing is impossible.
local V = #alphabet
local function pairs_of(data) -- one number for each two characters that follow each other
  return ((data.x - 1) * V + data.y):masked_select(data.y:gt(0))
end
local seen = pairs_of(known)
local follow = mare.ones(V * V):index_add(1, seen, mare.ones(#seen)):reshape(V, V)
local bigram = (follow / follow:sum(2, true)):log()

local Writer = nn.Module:extend("Writer", {
  init = function(self, hidden)
    self.embed, self.memory = nn.Embedding(V, 16), nn.GRU(16, hidden)
    self.out = nn.Linear(hidden, V)
  end,
  forward = function(self, x, state) -- x (n, time): logits (n, time, V) and the state
    local h, last = self.memory(self.embed(x), state)
    return self.out(h), last
  end,
})
local function criterion(logits, y)
  return mare.loss.cross_entropy(logits:reshape(-1, V), y:reshape(-1), { ignore_index = -1 })
end

-- Perplexity: among how many characters, equally likely, the choice seems to be.
local function perplexity(model)
  return math.exp(mare.no_grad(function() return criterion((model(new.x)), new.y):item() end))
end
local model, path = Writer(args.hidden), {}
mare.train.fit(model, { data = known, epochs = args.epochs, batch = 16, seed = args.seed,
  loss = criterion, clip_norm = 1, progress = false,
  optimizer = mare.optim.adam(model:parameters(), { lr = 5e-3 }),
  on_epoch = function(e) path[e.epoch] = perplexity(model) end })

lesson.title "perplexity of new lines, per character"
local by_pairs = math.exp(-bigram:reshape(-1):index_select(1, pairs_of(new)):mean():item())
local least = math.exp(surprise / #pairs_of(new))
print(("any character %d, bigram model %.3f, network %.3f"):format(V, by_pairs, path[#path]))
print(("the least there is, for who knows how the lines are made: %.3f"):format(least))

-- Lines from scores of the next character: next(x, state) -> logits (n, V), state.  Adding
-- noise of Gumbel's distribution and taking the largest draws from the softmax.
local function write(n, next)
  local _ <close> = mare.scope()
  local text, state, x = {}, nil, mare.full({ n }, code["\n"], "i64")
  for i = 1, n do text[i] = {} end
  for _ = 1, width do
    local logits
    logits, state = next(x, state)
    local noise = -(-mare.rand(n, V):clamp(1e-9, 1 - 1e-7):log()):log()
    x = (logits + noise):argmax(2)
    for i, c in ipairs(x:totable()) do text[i][#text[i] + 1] = alphabet[c] end
  end
  for i = 1, n do text[i] = table.concat(text[i]):match "^[^\n]*" end
  return text
end

-- Is a line formed as the rhyme is, is the animal's way to leave right, and the sum?
local value = {}
for i, name in ipairs(numbers) do value[name] = i end
local function judge(lines)
  local formed, way, sum = 0, 0, 0
  for _, line in ipairs(lines) do
    local n, animal, k, verb, rest = line:match "^(%a+) (%a+), (%a+) (%a+) off, (%a+) left%.$"
    n, k, rest = value[n], value[k], value[rest]
    if n and k and rest and leaves[animal] then
      formed = formed + 1
      way = way + (leaves[animal] == verb and 1 or 0)
      sum = sum + (n == k + rest and 1 or 0)
    end
  end
  print(table.concat(lines, "\n", 1, 6))
  print(("of %d lines: %d have the form, %d the right way to leave, %d the right sum"):format(
    #lines, formed, way, sum))
end
lesson.title "the bigram model writes"
judge(write(200, function(x) return bigram:index_select(1, x) end))
lesson.title "the network writes"
mare.no_grad(function()
  judge(write(200, function(x, state)
    local logits, last = model(x:unsqueeze(2), state)
    return logits:squeeze(2), last
  end))
end)

lesson.picture(plot.line({ mare.tensor(path) - least, mare.full({ #path }, by_pairs - least) }, {
  labels = { "network", "bigram model" }, title = "new lines: above the least there is",
  ylog = true, xlabel = "epoch", ylabel = "perplexity - least" }), "30-text")
lesson.key("perplexity of the network", path[#path])
