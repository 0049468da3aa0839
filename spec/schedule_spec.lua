-- schedule_spec.lua -- learning rates, against torch.optim.lr_scheduler of PyTorch 1.13.

local schedule = require "mare.schedule"

-- The rates of the first steps, read before each o.step(); s.step():
--   p = torch.nn.Parameter(torch.zeros(1)); o = torch.optim.SGD([p], lr=0.1); s = S.NAME(o, ...)
local cases = {
  ["step: StepLR(o, 3, 0.5)"] = { schedule.step(0.1, 3, 0.5),
    0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025 },
  ["multistep: MultiStepLR(o, [2, 5], 0.1)"] = { schedule.multistep(0.1, { 5, 2 }),
    0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001 },
  ["exponential: ExponentialLR(o, 0.9)"] = { schedule.exponential(0.1, 0.9),
    0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049 },
  ["polynomial: PolynomialLR(o, 5, 2)"] = { schedule.polynomial(0.1, 5, 2),
    0.1, 0.064, 0.036, 0.016, 0.004, 0, 0, 0 },
  ["linear: LinearLR(o, 0.25, 1, 4)"] = { schedule.linear(0.025, 0.1, 4),
    0.025, 0.04375, 0.0625, 0.08125, 0.1, 0.1 },
  ["cosine: CosineAnnealingLR(o, 6, 0.01)"] = { schedule.cosine(0.1, 6, 0.01),
    0.1, 0.0939711432, 0.0775, 0.055, 0.0325, 0.0160288568, 0.01 },
  ["restarts: CosineAnnealingWarmRestarts(o, 3, 2, 0.01)"] = {
    schedule.cosine_restarts(0.1, 3, 2, 0.01),
    0.1, 0.0775, 0.0325, 0.1, 0.0939711432, 0.0775, 0.055, 0.0325, 0.0160288568, 0.1,
    0.0984666622, 0.0939711432 },
  ["cyclic: CyclicLR(o, 0.01, 0.1, 4)"] = { schedule.cyclic(0.01, 0.1, 4),
    0.01, 0.0325, 0.055, 0.0775, 0.1, 0.0775, 0.055, 0.0325, 0.01, 0.0325, 0.055, 0.0775 },
  ["cyclic: mode='triangular2'"] = { schedule.cyclic(0.01, 0.1, 4, { mode = "triangular2" }),
    0.01, 0.0325, 0.055, 0.0775, 0.1, 0.0775, 0.055, 0.0325, 0.01, 0.02125, 0.0325, 0.04375,
    0.055, 0.04375, 0.0325, 0.02125, 0.01, 0.015625 },
  ["cyclic: mode='exp_range', gamma=0.9"] = {
    schedule.cyclic(0.01, 0.1, 4, { mode = "exponential", factor = 0.9 }),
    0.01, 0.03025, 0.04645, 0.0592075, 0.069049, 0.049858075, 0.033914845, 0.0207616803, 0.01,
    0.018716961, 0.0256905298, 0.0311822152, 0.0354186583, 0.0271575943, 0.0202945566 },
  ["one_cycle: OneCycleLR(o, 0.1, total_steps=10)"] = { schedule.one_cycle(0.1, 10),
    0.004, 0.052, 0.1, 0.0950484632, 0.0811745654, 0.0611262022, 0.0388741978, 0.0188258346,
    0.0049519368, 4e-07 },
  -- by hand
  ["constant"] = { schedule.constant(0.3), 0.3, 0.3 },
  ["inverse_time"] = { schedule.inverse_time(1, 0.5), 1, 1 / 1.5, 0.5 },
  ["inverse_time with a power"] = { schedule.inverse_time(1, 1, 0.5), 1, 2 ^ -0.5, 3 ^ -0.5 },
  ["warmup of a number"] = { schedule.warmup(4, 0.1), 0.025, 0.05, 0.075, 0.1, 0.1, 0.1 },
  ["warmup of a schedule"] = { schedule.warmup(2, schedule.linear(1, 0, 2)), 0.5, 1, 1, 0.5, 0 },
  ["warmup from a part"] = { schedule.warmup(2, 1, 0.5), 0.75, 1, 1 },
  ["warmup of no steps"] = { schedule.warmup(0, schedule.linear(1, 0, 2)), 1, 0.5, 0 },
  ["sequence"] = { schedule.sequence { { 0.1, 2 }, schedule.linear(1, 0, 4) },
    0.1, 0.1, 1, 0.75, 0.5, 0.25, 0 },
  ["warmup_stable_decay"] = {
    schedule.warmup_stable_decay(1, { warmup = 2, stable = 3, decay = 2 }),
    0.5, 1, 1, 1, 1, 1, 0.5, 0, 0 },
  ["product"] = { schedule.product(0.1, schedule.linear(1, 0, 10)), 0.1, 0.09, 0.08 },
}

describe("schedules", function()
  for name, case in pairs(cases) do
    it(name, function()
      for i = 2, #case do
        assert.near(case[i], case[1](i - 1), 1e-10, ("step %d"):format(i - 1))
      end
    end)
  end

  it("plateau follows ReduceLROnPlateau(o, patience=1, cooldown=1, factor=0.5)", function()
    local rate = schedule.plateau(0.1, { patience = 1, cooldown = 1, factor = 0.5 })
    local values = { 1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.85, 0.86, 0.87, 0.88 }
    local want = { 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.0125, 0.0125 }
    for i, v in ipairs(values) do
      rate:report(v)
      assert.near(want[i], rate(i), 1e-12, ("report %d"):format(i))
    end
  end)

  it("plateau can watch something that grows, and stops at its least rate", function()
    local rate = schedule.plateau(1, { mode = "max", patience = 0, min = 0.05 })
    assert.is_false(rate:report(0.5))
    assert.is_false(rate:report(0.6))
    assert.is_true(rate:report(0.6))
    assert.near(0.1, rate(), 1e-12)
    assert.is_true(rate:report(0.6))
    assert.is_false(rate:report(0.6))
    assert.equal(0.05, rate())
  end)

  it("refuse wrong arguments at the user's line", function()
    local function refuses(want, f, ...)
      local args = table.pack(...)
      local ok, text = pcall(function() return (f(table.unpack(args, 1, args.n))) end)
      assert.is_false(ok)
      assert.truthy(text:find("schedule_spec", 1, true), text)
      assert.equal(want, text:match ":%d+: (.*)$")
    end
    refuses("bad argument #1 to 'cosine' (number expected, got nil)", schedule.cosine)
    refuses("bad argument #1 to 'cosine' (-1 is outside 0 to inf)", schedule.cosine, -1, 10)
    refuses("bad argument #2 to 'cosine' (whole number of at least 1 expected, got 1.5)",
      schedule.cosine, 1, 1.5)
    refuses("bad argument #2 to 'cosine' (whole number of at least 1 expected, got nil)",
      schedule.cosine, 1)
    refuses("bad argument #2 to 'warmup' (schedule or number expected, got string)",
      schedule.warmup, 3, "cosine")
    refuses("bad argument #4 to 'cyclic' (unknown mode 'up'; known: exponential, triangular, "
      .. "triangular2)", schedule.cyclic, 0, 1, 4, { mode = "up" })
    refuses("bad argument #3 to 'one_cycle' (unknown option 'pct'; known: final, start, warm)",
      schedule.one_cycle, 1, 10, { pct = 0.3 })
    refuses("bad argument #2 to 'plateau' (mode 'low'; known: max, min)", schedule.plateau, 1,
      { mode = "low" })
    refuses("bad argument #2 to 'plateau' (patience: number expected, got string)",
      schedule.plateau, 1, { patience = "3" })
    refuses("bad argument #1 to 'sequence' (list of schedules expected)", schedule.sequence, {})
    refuses("bad argument #1 to 'sequence' (whole number of at least 1 expected, got nil)",
      schedule.sequence, { schedule.constant(1), schedule.constant(2) })
    refuses("bad argument #2 to 'multistep' (list of steps expected, got number)",
      schedule.multistep, 0.1, 3)
    refuses("bad argument #2 to 'multistep' (number expected, got string)",
      schedule.multistep, 0.1, { 3, "5" })
    refuses("bad argument #4 to 'cyclic' (factor: number expected, got string)",
      schedule.cyclic, 0, 1, 4, { mode = "exponential", factor = "a" })
    refuses("bad argument #3 to 'one_cycle' (warm: 2 is outside 0 to 1)", schedule.one_cycle, 1, 10,
      { warm = 2 })
    refuses("bad argument #3 to 'one_cycle' (start: 0 is outside 1 to inf)", schedule.one_cycle,
      1, 10, { start = 0 })
    refuses("bad argument #2 to 'warmup_stable_decay' (final: -1 is outside 0 to inf)",
      schedule.warmup_stable_decay, 1, { stable = 1, decay = 1, final = -1 })
    refuses("bad argument #2 to 'plateau' (factor: 2 is outside 0 to 1)", schedule.plateau, 1,
      { factor = 2 })
    refuses("bad argument #2 to 'plateau' (patience: -1 is outside 0 to inf)", schedule.plateau, 1,
      { patience = -1 })
    refuses("bad argument #2 to 'plateau' (unknown option 'wait'; known: cooldown, factor, min, "
      .. "mode, patience, threshold)", schedule.plateau, 1, { wait = 1 })
  end)
end)
