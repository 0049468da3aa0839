-- svm.lua -- LinearSVM: planes with the widest margin.

local mare_core = require "mare.core"
local check = require "mare.check"
local estimator = require "mare.models.estimator"
local linear_fit = require "mare.models.linear_fit"

local core, ops = mare_core.functions, mare_core.ops
local stack = require "mare.ops".ops.stack

local rows = linear_fit.settings({
  { "loss", "squared_hinge", one_of = { "squared_hinge", "hinge" } },
}, { "auto", "lbfgs", "newton", "interior" })

local function sparse(s) return s.penalty == "l1" or s.penalty == "elastic" end

local function own_solver(self)
  local s = self.settings
  return s.solver == "interior" or s.solver == "auto" and s.loss == "hinge"
end

local function check_solvable(self)
  local s, name = self.settings, self.class.name
  if own_solver(self) then
    if s.loss == "hinge" and not sparse(s) then return end
    check.fail("%s: solver = \"interior\" is for loss = \"hinge\" with penalty = \"l2\" or " ..
      "\"none\", not for \"%s\" with \"%s\"", name, s.loss, s.penalty)
  elseif s.loss == "hinge" and (s.solver == "lbfgs" or s.solver == "newton") then
    check.fail("%s: solver = \"%s\" needs a loss without kinks, \"squared_hinge\"; \"hinge\" is " ..
      "for \"interior\" and optimizers", name, s.solver)
  elseif s.solver == "newton" and sparse(s) then
    check.fail("%s: solver = \"newton\" needs a smooth penalty (\"l2\" or \"none\"), " ..
      "not \"%s\"; \"lbfgs\" takes all", name, s.penalty)
  end
end

-- The rows that weigh something, shifted and scaled as the problem says, with a 1 behind.
local function standard(problem, kept)
  local x = (problem.x:to "f64" - problem.mean:to "f64") * problem.inverse:to "f64"
  if problem.intercept then x = ops.cat({ x, core.ones({ x:size(1), 1 }, "f64") }, 2) end
  return kept and x:index_select(1, kept) or x
end

local function quadratic(problem)
  local p = (problem.inverse:to "f64":square() * problem.l2):reshape(-1)
  p = p + problem.inverse:eq(0):to "f64":reshape(-1)
  return problem.intercept and ops.cat({ p, core.zeros(1, "f64") }, 1) or p
end

-- One class against the rest after the other.
local function interior(self, problem)
  local s, w = self.settings, problem.weights
  local kept = w and w:gt(0):nonzero():reshape(-1)
  local A, P = standard(problem, kept), quadratic(problem)
  local c = (kept and w:index_select(1, kept) or core.ones(problem.rows, "f64")) / problem.S
  local T = problem.t.of:to "f64"
  if kept then T = T:index_select(1, kept) end
  local trace = s.trace and {} or nil
  local info, list = { steps = 0, reason = "gap", converged = true, trace = trace }, {}
  for k = 1, problem.r do
    local v, steps, reason = require "mare.models.interior".solve(A, P, T:select(2, k):contiguous(),
      c, s.tol, s.max_steps, trace and function(step, value, gap)
        trace[#trace + 1] = { step = step, loss = value, gap = gap, class = k }
      end)
    list[k], info.steps = v:to(problem.x.dtype), math.max(info.steps, steps)
    if reason ~= "gap" then info.reason, info.converged = reason, false end
  end
  local v, d = stack(list, 1), problem.d
  local flat = v:narrow(2, 1, d):reshape(-1)
  if problem.intercept then flat = ops.cat({ flat, v:select(2, d + 1) }, 1) end
  local weights, bias = problem:unpack(flat)
  return weights, bias, info
end

local function decision(_, x, learned)
  local z = ops.linear(x, learned.weight:to(x.dtype), learned.bias:to(x.dtype))
  return z:size(2) == 1 and z:reshape(-1) or z
end

--- Linear support vector machines: planes for which a row of the class is at least a margin on
-- one side and the others on the other; of more than two classes each against the rest.
--
-- Minimizes 1/S sum_i s_i loss(t_i (w.x_i + b)) + penalty(w) / (C S) for each plane, with t_i
-- 1 or -1 and row weights s_i with sum S.
--
-- Settings:
-- * loss: "squared_hinge" max(0, 1 - m)^2, or "hinge" max(0, 1 - m) of the margin m.
-- * penalty, C, l1_ratio, fit_intercept, class_weight, warm_start, start, trace, and those of
--   optimizers (lr, options, batch, epochs, shuffle): as in LogisticRegression.  Unlike in
--   scikit-learn's LinearSVC the bias is not penalised.
-- * solver: "auto" is "lbfgs" for the squared hinge and "interior" for the hinge.  "newton"
--   for the squared hinge with l2.  "interior" is exact, in f64, to a gap of tol to the least
--   value; a step costs 2 n d^2 for each class, so that for many rows and columns
--   an optimizer ("sgd", "adam" ...) with either loss is the choice.
-- * tol (1e-5), max_steps (1000).
--
-- Learned: weight (r, d), bias (r), r = 1 for two classes; objective, the sum over planes;
-- steps, converged, reason ("gradient", "value", "step", "gap"; "steps", "epochs",
-- "line search", "rounding").  There are no probabilities; decision gives w x + b.
--
--     local m = mare.models.LinearSVM { loss = "hinge", C = 10 }
--     m:fit(train.x, train.y)
--     print(m:score(test.x, test.y))
--
-- C. Cortes and V. Vapnik 1995, Support-vector networks; R.-E. Fan et al. 2008, LIBLINEAR.
return estimator.define {
  name = "LinearSVM", kind = "classifier", doc = "planes with the widest margin",
  outputs = function(K) return K == 2 and 1 or K end,
  loss_of = function(self) return self.settings.loss end,
  settings = rows, learned = linear_fit.learned, fit = linear_fit.fit,
  partial = linear_fit.partial, check = check_solvable, own_solver = own_solver,
  solve = interior, decision = decision, verify = linear_fit.verify,
}
