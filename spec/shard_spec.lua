-- shard_spec.lua -- data sets that several processes take turns at.

local mare = require "mare"
local support = require "spec.support"

local data = mare.data

local function numbered(n)
  return data.dataset(mare.arange(1, n, "f64"):reshape(n, 1), mare.arange(1, n, "i64"))
end

local function rows_of(y) return y:totable() end

-- The batches of all shards: list[number][rank] = { rows, weight, total }.
local function batches_of(set, shards, opts)
  local list = {}
  for rank = 0, shards - 1 do
    local number = 0
    for x, y, weight, total in set:shard(rank, shards):batches(opts) do
      number = number + 1
      list[number] = list[number] or {}
      list[number][rank] = { rows = rows_of(y), weight = weight, total = total }
      support.same(support.flat(x), rows_of(y), 0, "inputs and targets belong together")
    end
  end
  return list
end

describe("Dataset:shard", function()
  it("deals the rows of each batch of one process out in turn", function()
    for _, n in ipairs { 24, 25, 30, 31, 9, 3 } do
      local set = numbered(n)
      local opts = { size = 3, shuffle = true, seed = 4, epoch = 2 }
      local list = batches_of(set, 4, opts)
      local number = 0
      for _, y in set:batches { size = 12, shuffle = true, seed = 4, epoch = 2 } do
        number = number + 1
        local whole, weights = rows_of(y), 0
        for rank = 0, 3 do
          local part = list[number][rank]
          assert.equal(#whole, part.total)
          local own = {}
          for i = rank + 1, #whole, 4 do own[#own + 1] = whole[i] end
          assert.equal(#own * 4 / #whole, part.weight)
          weights = weights + part.weight
          if #own > 0 then assert.same(own, part.rows) else assert.equal(1, #part.rows) end
        end
        assert.near(4, weights, 1e-12)
      end
      assert.equal(number, #list)
    end
  end)

  it("leaves out the same batches at the start and at the end on all of them", function()
    local set = numbered(29)
    local all = batches_of(set, 4, { size = 3, shuffle = true, seed = 1 })
    local later = batches_of(set, 4, { size = 3, shuffle = true, seed = 1, skip = 2 })
    assert.equal(3, #all)
    assert.same(all[3], later[1])
    local even = batches_of(set, 4, { size = 3, drop_last = true })
    assert.equal(2, #even)
    assert.same({ rows = { 2, 6, 10 }, weight = 1, total = 12 }, even[1][1])
  end)

  it("makes the mean of the shards' losses that of the rows, in gradients too", function()
    local set = numbered(7)
    for _, shards in ipairs { 2, 3, 5 } do
      local sum, w = 0, mare.tensor(1, "f64"):requires_grad()
      for rank = 0, shards - 1 do
        for x, _, weight in set:shard(rank, shards):batches { size = 7 } do
          local loss = (x * w):mean() * weight / shards
          loss:backward()
          sum = sum + loss:item()
        end
      end
      assert.near(4, sum, 1e-12)
      assert.near(4, w.grad:item(), 1e-12)
    end
  end)

  it("keeps weights and variation, each shard with chances of its own", function()
    local set = numbered(12):weighted(mare.arange(1, 12, "f64"))
    local opts = { size = 2, seed = 3 }
    local whole = {}
    for _, y in set:batches { size = 4, seed = 3 } do
      for _, v in ipairs(rows_of(y)) do whole[#whole + 1] = v end
    end
    local list = batches_of(set, 2, opts)
    assert.same({ whole[1], whole[3] }, list[1][0].rows)
    assert.same({ whole[2], whole[4] }, list[1][1].rows)
    local noisy, drawn = numbered(4):augment(function(x) return mare.rand(x.shape) end), {}
    for rank = 0, 1 do
      for x, _, weight in noisy:shard(rank, 2):batches { size = 2, seed = 1 } do
        drawn[#drawn + 1] = x:totable()[1][1]
        assert.equal(1, weight)
      end
    end
    assert.equal(2, #drawn)
    assert.not_equal(drawn[1], drawn[2])
    local seen = 0
    for _, y in numbered(4):shard(1, 2):augment(function(x, y) return x, y end):batches { size = 9 } do
      seen = seen + #rows_of(y)
    end
    assert.equal(2, seen)
  end)

  it("is trained by fit as one part of a batch", function()
    local set = numbered(10)
    local model = mare.nn.Linear(1, 1, { bias = false }):to "f64"
    local history = mare.train.fit(model, { data = set:shard(1, 4), epochs = 1, batch = 2,
      loss = function(p) return p:mean() * 0 + 2 end, progress = false, seed = 1,
      optimizer = mare.optim.sgd(model:parameters(), { lr = 0.1 }) })
    assert.equal(2, history[1].steps)
    assert.near((8 * 2 + 2 * 4) / 10, history[1].loss, 1e-12) -- the last row counts double
  end)

  it("says what it is and refuses what it is not", function()
    local set = numbered(8)
    assert.truthy(tostring(set:shard(2, 3)):find("shard 2 of 0 to 2", 1, true))
    assert.equal(8, #set:shard(2, 3))
    local place = "spec/shard_spec.lua:%d+: bad argument #"
    local function refuses(f, pattern)
      local text = support.message(f)
      support.demand(text:find(place .. pattern), "'%s' does not match '%s'", text, pattern)
    end
    refuses(function() set:shard(3, 3) end, "1 to 'shard' %(rank 3 is not 0 to 2%)$")
    refuses(function() set:shard(-1, 3) end, "1 to 'shard' %(whole number")
    refuses(function() set:shard(0, 0) end, "2 to 'shard' %(whole number")
    refuses(function() set:shard(0, 2):shard(0, 2) end,
      "1 to 'shard' %(this is one of 2 shards%)$")
    refuses(function() set:shard(0, 2):batches { shuffle = true } end,
      "1 to 'batches' %(the shards need a seed to draw the same order%)$")
    assert.equal(8, #rows_of(set:shard(0, 1).y))
  end)
end)
