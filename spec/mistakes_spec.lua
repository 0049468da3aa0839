-- mistakes_spec.lua -- what beginners get wrong: the message says what to write instead, at
-- the user's line.

local mare = require "mare"
local support = require "spec.support"

local nn, models = mare.nn, mare.models

local x = mare.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
local labels = mare.tensor({ 1, 2 }, "i64")
local data = mare.data.dataset(x, labels)
local model = nn.Sequential { nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2) }
local optimizer = mare.optim.sgd(model:parameters(), { lr = 0.1 })

local function says(text, f, ...)
  local info = debug.getinfo(f, "S")
  local place = ("%s:%d: "):format(info.short_src, info.linedefined)
  local ok, message = pcall(f, ...)
  support.demand(not ok, "no error where '%s' was expected", text)
  support.demand(message:sub(1, #place) == place, "not at %s but %s", place, message)
  support.demand(message:find(text, 1, true), "'%s' is not in %s", text, message)
end

describe("a message about a mistake", function()
  it("knows names nearby and those of other libraries", function()
    says("'shpae'; did you mean 'shape'?", function() return (x.shpae) end)
    says("'view'; did you mean 'reshape'?", function() return (x:view(3, 2)) end)
    says("'T'; did you mean 't'?", function() return (x.T) end)
    says("no field or method 'telephone'", function() return (x.telephone) end)
    local _, message = pcall(function() return (x.telephone) end)
    assert.is_nil(message:find "mean")
    says("unknown option 'bais'; did you mean 'bias'?", function() nn.Linear(3, 4, { bais = true }) end)
    says("unknown reduction 'men'; did you mean 'mean'?",
      function() mare.loss.mse(x, x, { reduction = "men" }) end)
    says("unknown method 'bfgs'; did you mean 'lbfgs'?",
      function() mare.optim.minimize(function(v) return v * v end, 1, { method = "bfgs" }) end)
  end)

  it("says that counting begins at 1", function()
    says("index 0 is out of range for size 2 of dimension 1 (shape 2x3); it counts from 1",
      function() return (x[0]) end)
    says("dimension 0 is out of range for 2 dimensions; it counts from 1",
      function() return (x:sum(0)) end)
    says("dimension 0 is out of range for 2 dimensions; it counts from 1",
      function() return (x:sum { 0 }) end)
    says("index 0 is out of range for size 2; it counts from 1",
      function() return (x:index_select(1, labels - 1)) end)
    local _, message = pcall(function() return (x[3]) end)
    assert.is_nil(message:find "counts")
  end)

  it("says what to make of values that are no tensor", function()
    says("several values are given in a table: { 1, 2, 3 }", function() mare.tensor(1, 2, 3) end)
    says("got f32 tensor; mare.stack joins tensors at [1]", function() mare.tensor { x, x } end)
    says("got table; mare.tensor makes one of a table", function() x[1] = { 1, 2, 3 } end)
    says("got a table with the key 'a'", function() mare.tensor { a = 1 } end)
    local frame = mare.data.csv { string = "a,b\n1,2\n" }
    says("number or table expected, got mare.Frame", function() mare.tensor(frame) end)
    says("tensor expected, got mare.Dataset", function() models.KMeans { k = 1 }:fit(data) end)
    says("tensor expected, got mare.Frame", function() model(frame) end)
    says("function expected, got f32 tensor", function() mare.grad(x) end)
  end)

  it("names what stands for < and .. of tensors", function()
    local sum = x:sum()
    says("x:lt(y)", function() return x < x end)
    says("x:item()", function() return sum > 3 end)
    says("x:item()", function() return 3 <= sum end)
    says("x:item()", function() return "loss " .. sum end)
    says("x:item()", function() return sum .. " is the loss" end)
  end)

  it("shows the colon of a method", function()
    says("write opt:step()", function() optimizer.step() end)
    says("write opt:zero_grad()", function() optimizer.zero_grad() end)
    says("write model:forward(x), or model(x)", function() model.forward(x) end)
    says("write model:name(...)", function() model.parameters() end)
    local kmeans, svm = models.KMeans { k = 1 }, models.LinearSVM()
    says("got f32 tensor: write model:fit(x, y)", function() kmeans.fit(x) end)
    says("write model:partial_fit(x, y)", function() kmeans.partial_fit(x) end)
    says("write model:predict(x)", function() svm.predict(x) end)
    says("write model:predict_proba(x)", function() svm.predict_proba(x) end)
    says("write model:score(x, y)", function() svm.score(x, labels) end)
    says("write model:predict(x)", function() models.Ridge().predict(x) end)
    says("write model:score(x, y)", function() models.Ridge().score(x, x) end)
    says("write data:batches { size = 32 }", function() data.batches { size = 2 } end)
    says("write data:split(0.8)", function() data.split(0.5) end)
    says("write data:kfold(5)", function() data.kfold(2) end)
  end)

  it("tells a class from what is made of it", function()
    says("KMeans is a class; its settings, which may be none, make an estimator of it: " ..
      "KMeans { ... }:fit(...)", function() models.KMeans:fit(x) end)
    says("layer 1 is the class ReLU; call it: ReLU(...)", function() nn.Sequential { nn.ReLU } end)
  end)

  it("says what training needs", function()
    says("table of options expected, got a data set: write { data = ... }",
      function() mare.train.fit(model, data) end)
    says("got string; mare.loss.mse is one",
      function() mare.train.fit(model, { data = data, loss = "mse", optimizer = optimizer }) end)
    says("got string; mare.optim.adam(model:parameters()) is one",
      function() mare.train.fit(model, { data = data, loss = mare.loss.mse, optimizer = "adam" }) end)
  end)

  it("says which shapes a layer takes", function()
    says("BatchNorm1d(5): input of shape 2x3; (n, 5) or (n, 5, length) expected",
      function() nn.BatchNorm1d(5)(x) end)
    says("BatchNorm2d(3): input of shape 2x3; (n, 3, height, width) expected",
      function() nn.BatchNorm2d(3)(x) end)
    says("LayerNorm(2): input of shape 2x3; (..., 2) expected", function() nn.LayerNorm(2)(x) end)
    says("input of shape 2x3; (n, 4, ...) expected", function() nn.GroupNorm(2, 4)(x) end)
    says("input (n, 4) expected, got shape 2x3", function() nn.RNNCell(4, 2)(x) end)
  end)
end)
