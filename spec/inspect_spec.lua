-- inspect_spec.lua -- the forward and backward quantities of every layer, against
-- backpropagation written out, and what is said of wrong arguments.

local mare = require "mare"
local support = require "spec.support"

local nn = mare.nn
local flat, same, fails = support.flat, support.same, support.fails
local HERE = "inspect_spec.lua"

local function net()
  mare.seed(3)
  return nn.Sequential { nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2) }:to "f64"
end

describe("inspect", function()
  local x = mare.tensor({{1, 2, -1}, {0.5, -0.3, 2}}, "f64")
  local y = mare.tensor({{1, 0}, {0, 1}}, "f64")

  it("gives a = dz/dw and dC/dz, whose product is dC/dw", function()
    local model = net()
    local report = mare.inspect(model, x, y, mare.loss.mse)
    assert.same(3, #report)
    local first, tanh, last = report[1], report[2], report[3]
    assert.same({"1", "2", "3"}, {first.name, tanh.name, last.name})
    -- by hand: dC/dz2 = 2 (z2 - y) / 4, dC/da = dC/dz2 w2, dC/dz1 = dC/da (1 - a^2)
    local z1 = x:matmul(model[1].weight:detach():t()) + model[1].bias:detach()
    local a = z1:tanh()
    local z2 = a:matmul(model[3].weight:detach():t()) + model[3].bias:detach()
    local d2 = (z2 - y) * 0.5
    local da = d2:matmul(model[3].weight:detach())
    local d1 = da * (1 - a * a)
    same(flat(first.a), flat(x), 0, "a of the first layer")
    same(flat(first.z), flat(z1), 1e-14, "z of the first layer")
    same(flat(first.dz), flat(d1), 1e-14, "dC/dz of the first layer")
    same(flat(tanh.a), flat(z1), 1e-14, "what goes into the activation")
    same(flat(tanh.z), flat(a), 1e-14, "what comes out of it")
    same(flat(tanh.dz), flat(da), 1e-14, "dC/da")
    same(flat(last.a), flat(a), 1e-14, "a of the last layer")
    same(flat(last.dz), flat(d2), 1e-14, "dC/dz of the last layer")
    same(flat(first.gradients.weight), flat(d1:t():matmul(x)), 1e-14, "dC/dw")
    same(flat(first.gradients.bias), flat(d1:sum(1)), 1e-14, "dC/db")
    same(flat(last.gradients.weight), flat(d2:t():matmul(a)), 1e-14, "dC/dw of the last")
    same(flat(report.input_gradient), flat(d1:matmul(model[1].weight:detach())), 1e-14, "dC/dx")
    same({report.loss}, {((z2 - y) * (z2 - y)):mean():item()}, 1e-14, "loss")
    same(flat(report.output), flat(z2), 1e-14, "output")
    same({first.norms.dz, first.norms.weight},
      {d1:norm():item(), d1:t():matmul(x):norm():item()}, 1e-14, "norms")
  end)

  it("agrees with backward, and leaves the model alone", function()
    local model = net()
    local report = mare.inspect(model, x, function(out) return (out * out):sum() end)
    for _, p in ipairs(model:parameters()) do assert.is_nil(p.grad) end
    local before = model[1]
    ;(model(x) * model(x)):sum():backward()
    same(flat(report[1].gradients.weight), flat(model[1].weight.grad), 1e-14, "weight")
    assert.is_true(rawequal(before, model[1]))
    assert.same(nn.Tanh, getmetatable(model[2]))
    assert.is_false(report[1].dz.is_tracked or report[1].z.is_tracked or x.is_tracked)
    assert.is_true(mare.no_grad(mare.inspect, model, x, y, mare.loss.mse)[1].dz ~= nil)
    pcall(mare.inspect, model, mare.ones(2, 7, "f64"), y, mare.loss.mse)
    assert.same(nn.Linear, getmetatable(model[1]))
  end)

  it("prints a table", function()
    local text = tostring(mare.inspect(net(), x, y, mare.loss.mse))
    for _, part in ipairs {"layer", "|a|", "|dC/dz|", "|dC/dw|", "1  Linear(3 -> 4)", "2  Tanh", "2x4",
      "loss 1.178"} do
      support.demand(text:find(part, 1, true), "'%s' is not in\n%s", part, text)
    end
  end)

  it("counts dead units", function()
    local model = nn.Sequential { nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1) }
    mare.no_grad(function()
      model[1].weight:copy_(mare.tensor {{1}, {1}, {-1}, {1}})
      model[1].bias:copy_(mare.tensor {0, -9, -9, 5})
      model[3].weight:fill_(1)
    end)
    local report = mare.inspect(model, mare.tensor {{1}, {2}}, function(out) return out:sum() end)
    assert.same({0.5, 0.5, 0}, {report[1].dead, report[2].dead, report[3].dead})
    assert.is_truthy(tostring(report):find("50%%"))
  end)

  it("walks nested models, shared layers, own parameters and labels", function()
    local Net = nn.Module:extend("Net", {
      init = function(self)
        self.inner = nn.Sequential { nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 6) }
        self.again = nn.Linear(6, 6)
        self.scale = mare.full({6}, 2):requires_grad()
      end,
      forward = function(self, index)
        return self.again(self.again(self.inner(index))) * self.scale
      end,
    })
    local model = Net()
    local report = mare.inspect(model, mare.tensor({{1, 2}, {5, 3}}, "i64"),
      mare.tensor({6, 1}, "i64"), mare.loss.cross_entropy)
    local names = {}
    for i, r in ipairs(report) do names[i] = r.name end
    assert.same({"", "inner.1", "inner.2", "inner.3", "again", "again"}, names)
    assert.same({2, 6}, report[1].gradients.scale and report[1].z.shape)
    assert.same({6}, report[1].gradients.scale.shape)
    assert.is_nil(report[2].norms.a)
    assert.same({5, 3}, report[2].gradients.weight.shape)
    assert.is_nil(report.input_gradient)
    same(flat(report[5].gradients.weight), flat(report[6].gradients.weight), 0, "one tensor")
    assert.is_truthy(tostring(report):find("inner.3  Linear(6 -> 6)", 1, true))
  end)

  it("says what is wrong", function()
    local model = net()
    fails(HERE, function() mare.inspect(3, x, y, mare.loss.mse) end, "#1 to 'inspect'", "number")
    fails(HERE, function() mare.inspect(model, 3, y, mare.loss.mse) end, "#2 to 'inspect'")
    fails(HERE, function() mare.inspect(model, x, y) end, "#4 to 'inspect'", "no value")
    fails(HERE, function() mare.inspect(model, x) end, "#3 to 'inspect'", "no value")
    fails(HERE, function() mare.inspect(model, x, function(o) return o end) end, "'inspect'", "2x2")
    fails(HERE, function() mare.inspect(model, x, function() return 3 end) end, "'inspect'", "number")
  end)
end)
