-- methods.lua -- the methods of mare.optim.minimize as rows of a table:
--   run        function (run, x, options) -> f, reason; x, the start, becomes the result
--   options    { name = kind } of the method's own
--   defaults   function (problem, options) -> limits, where the user gives none
--   optimizer  function (params, options) -> object, for those that exist as one
--   needs_box  bounds have to be given and finite

local kinds = require "mare.optim.options"
local descent = require "mare.optim.descent"
local lbfgs = require "mare.optim.lbfgs"
local cg = require "mare.optim.cg"
local projected = require "mare.optim.projected"
local rows = require "mare.optim.rows"
local newton = require "mare.optim.newton"
local search = require "mare.optim.linesearch"
local boxes = require "mare.optim.search"
local closure = require "mare.optim.closure"

local M = { list = {} }

local optim = setmetatable({}, { __index = function(_, k) return require "mare.optim"[k] end })

local tolerances = {
  tol = kinds.tolerance, value_tol = kinds.tolerance, step_tol = kinds.tolerance,
}

local function with(more)
  for k, v in pairs(tolerances) do more[k] = v end
  return more
end

-- -- along lines -----------------------------------------------------------------------

local function line_limits(problem)
  local eps = descent.epsilon[problem.dtype]
  return { steps = 1000, tol = problem.dtype == "f64" and 1e-8 or 1e-5, value_tol = eps,
    step_tol = eps / 16 }
end

local line = { lr = kinds.positive, c1 = kinds.between(0, 1), c2 = kinds.between(0, 1) }

local function line_method(row)
  for k, v in pairs(line) do row.options[k] = v end
  row.optimizer = closure.constructor(row.name, row.method, row.options, row.c2)
  local known = with {}
  for k, v in pairs(row.options) do known[k] = v end
  row.options = known
  row.defaults = line_limits
  row.run = row.run or function(run, x, options)
    return descent.run(run, x, row.method(options), search.constants(run.name, 3, options, row.c2))
  end
  M.list[row.name] = row
end

line_method { name = "lbfgs", method = lbfgs.method, c2 = 0.9,
  options = { memory = kinds.count(1) },
  run = function(run, x, options)
    if run.lo then return projected.run(run, x, options) end
    return descent.run(run, x, lbfgs.method(options), search.constants(run.name, 3, options, 0.9))
  end }
M.list.lbfgs.options.bounds = kinds.box

line_method { name = "cg", method = cg.method, c2 = 0.1,
  options = { beta = kinds.one_of(cg.formulas), restart = kinds.count(1) } }

line_method { name = "newton", method = newton.method, c2 = 0.9,
  options = { damping = kinds.tolerance, hessian = kinds.one_of(newton.hessians) } }

-- -- without gradients -----------------------------------------------------------------

M.list.nelder_mead = {
  run = require "mare.optim.nelder_mead".run,
  options = { value_tol = kinds.tolerance, step_tol = kinds.tolerance, bounds = kinds.box,
    adaptive = kinds.flag, simplex = kinds.positive },
  defaults = function(problem)
    local tol = problem.dtype == "f64" and 1e-8 or 1e-5
    return { steps = 400 * problem.n, value_tol = tol, step_tol = tol }
  end,
}

M.list.cma_es = {
  run = require "mare.optim.cma_es".run,
  options = { value_tol = kinds.tolerance, step_tol = kinds.tolerance, bounds = kinds.box,
    population = kinds.count(3), sigma = kinds.positive, vectorized = kinds.flag },
  defaults = function(problem)
    local tol = problem.dtype == "f64" and 1e-12 or 1e-6
    return { steps = 1000 + 200 * problem.n, value_tol = tol, step_tol = tol }
  end,
}

M.list.differential_evolution = {
  run = require "mare.optim.differential_evolution".run, needs_box = true,
  options = { value_tol = kinds.tolerance, bounds = kinds.box, population = kinds.count(5),
    factor = kinds.between(0, 2), crossover = kinds.between(0, 1 + 2 ^ -52), polish = kinds.flag,
    vectorized = kinds.flag },
  defaults = function() return { steps = 1000, value_tol = 0.01 } end,
}

M.list.random_search = {
  run = boxes.random, needs_box = true,
  options = { bounds = kinds.box, vectorized = kinds.flag },
  defaults = function() return { steps = 1000 } end,
}

M.list.grid = {
  run = boxes.grid, needs_box = true,
  options = { bounds = kinds.box, points = kinds.counts, refine = kinds.count(0),
    vectorized = kinds.flag },
}

-- -- the optimizers of optim.def -------------------------------------------------------

local function row_method(name, row)
  local options = with { lr = kinds.rate, bounds = kinds.box }
  if name ~= "gd" then
    for _, h in ipairs(row.hyper) do options[h.name] = options[h.name] or true end
  end
  local function hyper(given)
    local own = {}
    for _, h in ipairs(row.hyper) do own[h.name] = given[h.name] end
    return own
  end
  return {
    options = options, defaults = function() return { steps = 1000 } end,
    run = function(run, x, given)
      return rows.run(run, x, optim[row.name], hyper(given), run.lo, run.hi)
    end,
  }
end

local made = {}

--- The method of this name, nil without one.
function M.find(name)
  if M.list[name] then return M.list[name] end
  local row = optim.rows[name == "gd" and "sgd" or name]
  if row and not made[name] then made[name] = row_method(name, row) end
  return made[name]
end

--- The set of all names.
function M.names()
  local set = { gd = true }
  for name in pairs(M.list) do set[name] = true end
  for name in pairs(optim.rows) do set[name] = true end
  return set
end

return M
