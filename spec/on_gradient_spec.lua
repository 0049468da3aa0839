-- on_gradient_spec.lua -- functions that are called when backward has a leaf's gradient.

local mare = require "mare"
local support = require "spec.support"

local same, flat, fails = support.same, support.flat, support.message

local function matches(text, pattern)
  support.demand(text:find(pattern), "'%s' does not match '%s'", text, pattern)
end

describe("on_gradient", function()
  it("is called once for each backward, when the gradient is whole", function()
    local w = mare.tensor({ 2, 3 }, "f64"):requires_grad()
    local seen = {}
    w:on_gradient(function(x)
      assert.equal(w, x)
      seen[#seen + 1] = flat(x.grad)
    end)
    local function loss() return (w * w):sum() + w:sum() end -- w is used three times
    loss():backward()
    same(seen[1], { 5, 7 }, 0, "first")
    loss():backward()
    same(seen[2], { 10, 14 }, 0, "with what was there")
    assert.equal(2, #seen)
  end)

  it("comes before backward has reached earlier layers", function()
    local first = mare.randn(4, 4):requires_grad()
    local last = mare.randn(4, 4):requires_grad()
    local order = {}
    first:on_gradient(function()
      order[#order + 1] = "first"
      assert.truthy(last.grad)
    end)
    last:on_gradient(function()
      order[#order + 1] = "last"
      assert.is_nil(first.grad)
    end)
    mare.randn(2, 4):matmul(first):tanh():matmul(last):sum():backward()
    assert.same({ "last", "first" }, order)
  end)

  it("calls several functions in order until they are taken off", function()
    local w, order = mare.ones(2):requires_grad(), ""
    local off = w:on_gradient(function() order = order .. "a" end)
    local off_b = w:on_gradient(function() order = order .. "b" end)
    w:sum():backward()
    off()
    off()
    w:sum():backward()
    off_b()
    w:sum():backward()
    assert.equal("abb", order)
  end)

  it("records nothing of what the function computes, and lets it change the gradient", function()
    local w = mare.ones({ 2 }, "f64"):requires_grad()
    local doubled
    w:on_gradient(function(x)
      doubled = x * 2
      x.grad:mul_(3)
    end)
    local y = (w * 5):sum()
    y:backward()
    assert.is_false(doubled.is_tracked)
    same(flat(w.grad), { 15, 15 }, 0, "changed")
    assert.is_true(mare.ones(1):requires_grad():mul(2).is_tracked)
  end)

  it("is called with create_graph, and with a derivative in Lua on the way", function()
    local cube = mare.op { name = "cube_noticed", forward = function(x) return x * x * x end,
      backward = function(g, _, x) return g * 3 * x * x end }
    local w, n = mare.tensor({ 2 }, "f64"):requires_grad(), 0
    w:on_gradient(function() n = n + 1 end)
    cube(w):sum():backward()
    cube(w):sum():backward { create_graph = true }
    assert.equal(2, n)
    same(flat(w.grad), { 24 }, 0, "twice")
  end)

  it("is not called for gradients that go elsewhere", function()
    local w, n = mare.ones(3):requires_grad(), 0
    w:on_gradient(function() n = n + 1 end)
    mare.grad(function(v) return (v * v):sum() end)(w)
    mare.ones(2):requires_grad():sum():backward()
    assert.equal(0, n)
  end)

  it("may run a backward of its own, and is called for a leaf that is the result", function()
    local w = mare.tensor({ 3 }, "f64"):requires_grad()
    local v = mare.tensor({ 2 }, "f64"):requires_grad()
    w:on_gradient(function() mare.enable_grad(function() (v * v):sum():backward() end) end)
    local y = (w * v):sum()
    y:backward()
    same(flat(v.grad), { 7 }, 0, "both")
    local s, n = mare.tensor(1):requires_grad(), 0
    s:on_gradient(function() n = n + 1 end)
    s:backward()
    assert.equal(1, n)
  end)

  it("passes errors on; the next backward works", function()
    local w = mare.ones(2):requires_grad()
    local off = w:on_gradient(function() error("no", 0) end)
    assert.same({ false, "no" }, { pcall(function() (w * 2):sum():backward() end) })
    off()
    w:zero_grad()
    local y = (w * 2):sum()
    y:backward()
    same(flat(w.grad), { 2, 2 }, 0, "after")
    assert.is_true((w * 1).is_tracked)
  end)

  it("keeps no tensor alive", function()
    local seen = setmetatable({}, { __mode = "k" })
    do
      local w = mare.ones(2):requires_grad()
      w:on_gradient(function() return w end)
      w:sum():backward()
      seen[w] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
  end)

  it("refuses what has no gradient of its own", function()
    local w = mare.ones(2):requires_grad()
    local y = (w * 2):sum()
    local place = "spec/on_gradient_spec.lua:%d+: "
    for _, x in ipairs { mare.ones(2), y } do
      matches(fails(function() x:on_gradient(print) end),
        place .. "calling 'on_gradient' on bad self %(not a leaf that requires a gradient%)$")
    end
    y:backward()
    matches(fails(function() y:on_gradient(print) end), "not a leaf")
    matches(fails(function() w:on_gradient(3) end),
      place .. "bad argument #1 to 'on_gradient' %(function expected, got number%)$")
  end)
end)
