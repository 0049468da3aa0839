-- 29-recommender.lua -- what will somebody like that he has not seen?
-- ids: M19
-- takes: 2 s
-- expect: 0.42 0.48
-- expect: 3 3
--
-- What is asked.  Four hundred people rated a few of three hundred films each, from 1 to 5.  What
-- would they give the others?  Nothing is known of people and films but the ratings.  Matrix
-- factorisation gives each of them a few numbers, to be learned: a rating is supposed to be
-- mean + bias of the person + bias of the film + p . f, where p and f are their vectors.
--
-- What is seen.  Vectors of three numbers predict unseen ratings best, and three tastes were
-- put in.  The error is 0.45 of that of the mean rating, not far from what moods leave.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("29-recommender.lua", "Matrix factorisation of ratings.",
  { people = { 400, "people" }, films = { 300, "films" }, ratings = { 24000, "ratings in all" },
    epochs = 20, decay = { 0.02, "weight decay" } })
mare.seed(args.seed)

-- Ratings that are made: three tastes, in which people and films are more or less; some people
-- are kinder than others and some films better; and a mood that nothing can predict.
local people, films, n = args.people, args.films, args.ratings
local taste, style = mare.randn(people, 3), mare.randn(films, 3)
local kind, good = 0.4 * mare.randn(people, 1), 0.5 * mare.randn(1, films)
local liking = 3.4 + kind + good + 0.45 * taste:matmul(style:t())
local seen = mare.randperm(people * films):narrow(1, 1, n) -- each pair once at most
local who = ((seen:to "f64" - 1) / films):floor():to "i64" + 1
local what = seen - (who - 1) * films
local mood = 0.3
local rating = (liking:reshape(-1):index_select(1, seen) + mood * mare.randn(n)):round():clamp(1, 5)
local train, test = mare.data.dataset(mare.stack({ who, what }, 2), rating):split(0.8,
  { seed = args.seed })
print(("%d ratings known, %d unseen; %.0f%% of all pairs"):format(#train, #test,
  100 * n / (people * films)))

-- -- models ---------------------------------------------------------------------------------

local mean = train.y:mean():item()
local small = nn.init.normal(0.1)
local Factors = nn.Module:extend("Factors", {
  init = function(self, width)
    self.width = width
    self.person_bias = nn.Embedding(people, 1, { init = nn.init.zeros })
    self.film_bias = nn.Embedding(films, 1, { init = nn.init.zeros })
    if width > 0 then
      self.person = nn.Embedding(people, width, { init = small })
      self.film = nn.Embedding(films, width, { init = small })
    end
  end,
  forward = function(self, x) -- x (n, 2): person, film
    local p, f = x:select(2, 1):contiguous(), x:select(2, 2):contiguous()
    local y = mean + (self.person_bias(p) + self.film_bias(f)):squeeze(2)
    return self.width > 0 and y + (self.person(p) * self.film(f)):sum(2) or y
  end,
})

-- No rating is below 1 or above 5.
local function rmse(prediction, truth)
  return (prediction:clamp(1, 5) - truth):square():mean():sqrt():item()
end

local function train_factors(width)
  mare.seed(args.seed)
  local model = Factors(width)
  local history = mare.train.fit(model, { data = train, validation = test, epochs = args.epochs,
    batch = 128, seed = args.seed, progress = false, loss = mare.loss.mse,
    optimizer = mare.optim.adamw(model:parameters(), { lr = 0.01, weight_decay = args.decay }) })
  return model, history, rmse(mare.train.predict(model, test.x), test.y)
end

lesson.title "error of a rating (root mean square)"
-- The size is chosen by the unseen ratings, too: of seven sizes, which flatters it hardly.
local plain = rmse(mare.full({ #test }, mean), test.y)
print(("the mean of all ratings                 unseen %.3f"):format(plain))
local widths, known, unseen, best, least, curves = { 0, 1, 2, 3, 4, 8, 16 }, {}, {}, nil, 1e9, {}
for i, width in ipairs(widths) do
  local model, history, error_ = train_factors(width)
  known[i] = rmse(mare.train.predict(model, train.x), train.y)
  unseen[i] = error_
  if error_ < least then best, least, curves = model, error_, history end
  print(("%s  known %.3f  unseen %.3f"):format(width == 0 and "biases of persons and films     "
    or ("biases and vectors of %2d numbers"):format(width), known[i], unseen[i]))
end
print(("Three tastes were put in; %d numbers for each predict unseen ratings best: fewer do not"):
  format(best.width))
print "suffice, and more learn the known ratings by heart."
print(("Rounding and moods alone leave an error of about %.2f."):format(
  rmse(liking:reshape(-1):index_select(1, seen), rating)))

lesson.title "for the first person"
print "(a prediction above 5 stands for 5)"
local all = mare.stack({ mare.ones({ films }, "i64"), mare.arange(1, films, "i64") }, 2)
local p = mare.train.predict(best, all)
-- films that this person has rated are not recommended
p = p:masked_fill(mare.zeros({ films }):index_add(1, what:masked_select(who:eq(1)),
  mare.ones(who:eq(1):to("f32"):sum():item())):gt(0), -1)
local score, film = p:topk(5)
for k = 1, 5 do
  print(("film %3d: predicted %.2f, would get %.2f"):format(film[k]:item(), score[k]:item(),
    liking[{ 1, film[k]:item() }]:clamp(1, 5):item()))
end
print(("a film chosen blindly would get %.2f on average"):format(
  liking[1]:clamp(1, 5):mean():item()))

lesson.picture(plot.grid({
  plot.line(widths, { known, unseen }, { labels = { "known", "unseen" }, marks = true,
    title = "error against the vectors' size", xlabel = "numbers in a vector", ylabel = "RMSE" }),
  plot.line({ curves:values "loss", curves:values "validation_loss" }, { marks = true,
    labels = { "known", "unseen" }, title = ("vectors of %d"):format(best.width),
    xlabel = "epoch", ylabel = "square error" }),
}, { columns = 2 }), "29-recommender", { width = 1000, height = 420 })
lesson.key("unseen error over that of the mean", least / plain)
lesson.key("numbers in the best vectors", best.width)
