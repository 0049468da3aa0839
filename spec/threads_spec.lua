-- threads_spec.lua -- the same bits for any number of threads, for every operation that is
-- cut into pieces and for a whole training run; how many threads there are.

local mare = require "mare"
local support = require "spec.support"

local demand = support.demand
local counts = { 1, 2, 4, 7 }

--- Runs make() with each number of threads; the bytes of its tensors must agree.
local function same_bits(what, make)
  local before, first = mare.threads(), nil
  local ok, message = pcall(function()
    for _, n in ipairs(counts) do
      mare.threads(n)
      local bytes = {}
      for i, t in ipairs { make() } do bytes[i] = t:tobytes() end
      first = first or bytes
      for i = 1, #first do
        demand(bytes[i] == first[i], "%s: result %d with %d threads", what, i, n)
      end
    end
  end)
  mare.threads(before)
  demand(ok, "%s", message)
end

--- The same numbers on every call: a fixed seed for each.
local function numbers(dtype, ...)
  mare.seed(1)
  return mare.randn({ ... }, dtype)
end

describe("any number of threads gives the same bits:", function()
  for _, dtype in ipairs { "f32", "f64" } do
    it("matmul, " .. dtype, function()
      for _, s in ipairs { { 300, 400, 500 }, { 32, 256, 784 }, { 784, 256, 32 }, { 1000, 37, 600 },
        { 64, 10, 256 }, { 7, 2000, 300 }, { 513, 511, 129 } } do
        local a, b = numbers(dtype, s[1], s[3]), numbers(dtype, s[3], s[2])
        local at, bt = numbers(dtype, s[3], s[1]):t(), numbers(dtype, s[2], s[3]):t()
        same_bits(table.concat(s, "x"), function()
          return a:matmul(b), at:matmul(b), a:matmul(bt), at:matmul(bt)
        end)
      end
      local a, b = numbers(dtype, 24, 60, 50), numbers(dtype, 24, 50, 70)
      same_bits("batched", function() return a:matmul(b), a:matmul(b[1]) end)
    end)

    it("reductions, " .. dtype, function()
      local x, cube = numbers(dtype, 700, 1501), numbers(dtype, 60, 70, 80)
      for _, name in ipairs { "sum", "mean", "prod", "max", "min", "logsumexp", "norm", "var",
        "argmax", "argmin" } do
        same_bits(name, function()
          return x[name](x), x[name](x, 1), x[name](x, 2), cube[name](cube, 2),
            x[name](x:t(), 1)
        end)
      end
      same_bits("cumsum", function() return x:cumsum(1), x:cumsum(2), cube:cumsum(2) end)
      same_bits("sort", function()
        local values, index = x:sort(2)
        return values, index, (x:sort(1)), (x:topk(5))
      end)
    end)

    it("softmax and cross-entropy, " .. dtype, function()
      local long, wide = numbers(dtype, 3000, 100), numbers(dtype, 5, 200000)
      local labels = mare.arange(0, 2999, "i64")
      for i = 1, 3000 do labels[i] = i * 7 % 100 + 1 end
      same_bits("softmax", function()
        return long:softmax(2), long:softmax(1), wide:softmax(2), wide:log_softmax(2)
      end)
      same_bits("cross-entropy", function()
        local x = long:clone():requires_grad()
        local loss = mare.loss.cross_entropy(x, labels)
        loss:backward()
        return loss:detach(), x.grad
      end)
    end)

    it("element by element, " .. dtype, function()
      local x, y, row = numbers(dtype, 600, 1001), numbers(dtype, 600, 1001), numbers(dtype, 1001)
      same_bits("contiguous", function() return x + y, x * y, x:exp(), x:tanh(), x:sigmoid() end)
      same_bits("broadcast", function() return x + row, x:t() * y:t(), x["::2, ::3"]:exp() end)
      same_bits("in place", function() return x:clone():add_(y):mul_(0.5) end)
      same_bits("copies", function() return x:t():contiguous(), x:to "i64", mare.cat({ x, y }, 2) end)
    end)
  end

  it("random numbers", function()
    same_bits("draws", function()
      mare.seed(3)
      return mare.randn(100000), mare.rand(100000, "f64"), mare.randperm(100000),
        mare.randint(1, 6, 100000), mare.zeros(100000):bernoulli_(0.5)
    end)
  end)

  it("picking and placing", function()
    local x, index = numbers("f32", 5000, 64), mare.arange(1, 20000, "i64")
    for i = 1, 20000 do index[i] = i * 37 % 5000 + 1 end
    same_bits("index_select", function()
      local g = x:clone():requires_grad()
      g:index_select(1, index):sum():backward()
      return x:index_select(1, index), g.grad
    end)
  end)
end)

describe("a training run", function()
  --- Thirty steps of a small network with dropout; its parameters at the end.
  local function train(optimizer)
    mare.seed(7)
    local nn = mare.nn
    local model = nn.Sequential { nn.Linear(100, 300), nn.ReLU(), nn.Dropout(0.2),
      nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 10) }
    local opt = mare.optim[optimizer](model:parameters(), { lr = 0.01 })
    local x, y = mare.randn(640, 100), mare.randint(1, 10, 640)
    for step = 0, 29 do
      local first = step % 5 * 128 + 1
      local rows = { first, first + 127 }
      local loss = mare.loss.cross_entropy(model(x[{ rows, {} }]), y[{ rows }])
      opt:zero_grad()
      loss:backward()
      opt:step()
    end
    local list = {}
    for i, p in ipairs(model:parameters()) do list[i] = p:detach() end
    return table.unpack(list)
  end

  for _, name in ipairs { "sgd", "adam" } do
    it("ends with the same bits, " .. name, function()
      same_bits(name, function() return train(name) end)
    end)
  end
end)

describe("mare.threads", function()
  local lua = arg and arg[-1] or "lua5.4"

  --- What a new process prints, with this before its command line.
  local function output(before, script)
    local pipe = io.popen(("export ASAN_OPTIONS=detect_leaks=0; %s '%s' -e '%s' 2>&1"):format(
      before, lua, script))
    local text = pipe:read "a"
    pipe:close()
    return text
  end

  local script = 'io.write(require("mare").threads())'

  it("is set, and at 0 the default again", function()
    local before = mare.threads()
    for _, n in ipairs { 3, 1, 40, 2 } do
      assert.equal(n, mare.threads(n))
      assert.equal(n, mare.threads())
      assert.equal(160000, mare.ones(400, 400):sum():item())
    end
    demand(mare.threads(0) >= 1, "%d threads", mare.threads())
    mare.threads(before)
  end)

  it("comes from MARE_THREADS, else from the cores of the process", function()
    assert.equal("3", output("MARE_THREADS=3", script))
    local default = tonumber(output("unset MARE_THREADS;", script))
    for _, text in ipairs { "0", "-2", "many", "" } do
      assert.equal(default, tonumber(output("MARE_THREADS=" .. text, script)))
    end
    if os.execute "taskset -V >/dev/null 2>&1" then
      assert.equal("1", output("unset MARE_THREADS; taskset -c $(taskset -cp $$ | "
        .. "sed 's/.*: *//; s/[,-].*//')", script))
    end
  end)

  it("changes between one piece of work and the next", function()
    local before = mare.threads()
    local x = mare.ones(300, 1000)
    for n = 1, 60 do
      mare.threads(n % 9 + 1)
      demand(x:sum():item() == 300000, "a wrong sum with %d threads", n % 9 + 1)
    end
    mare.threads(before)
  end)
end)
