-- calls.lua -- every public function, method and constructor with arguments at random:
--   lua5.4 spec/fuzz/calls.lua SEED ROUNDS [PATTERN] [FIRST]
-- Whatever is passed, a call returns or raises an error that stands at the line of the
-- call and names the function.  It prints what does not, and the number of calls; a last
-- line that is missing means that the process died, and the file LOG (from the
-- environment) says in which call.  Run it in a folder of its own: some calls write files.

local seed, rounds = tonumber(arg[1]) or 1, tonumber(arg[2]) or 1
local pattern, first = arg[3] or "", tonumber(arg[4]) or 1

local mare = require "mare"
local core = require "mare.core"
local doc = require "mare.doc"

local out, log = io.stderr, os.getenv "LOG" and io.open(os.getenv "LOG", "w")
mare.memory_limit(96 << 20)

-- -- numbers at random ----------------------------------------------------------------------

local state
local function random(lo, hi)
  state = state * 6364136223846793005 + 1442695040888963407
  return lo + ((state >> 33) % (hi - lo + 1))
end

local function pick(list) return list[random(1, #list)] end

-- -- what is passed ---------------------------------------------------------------------------

local TRAP = "trap sprung"      -- what the functions and metatables below raise

local function trap() error(TRAP, 0) end

local function closed(t)
  t:close()
  return t
end

local function cycle()
  local t = {}
  t[1], t.x = t, t
  return t
end

-- text that makes a value, and the value
local plain = {}
local function add(text) plain[#plain + 1] = text end
for text in ([[nil nil nil true false 0 1 1 2 3 -1 0.5 -0.25 0/0 1/0 -1/0 1e300 2^53 2^31 7 1e-320 100 8 9
  math.maxinteger math.mininteger "" "f32" "f64" "i64" "u8" "1:2" "nonsense" "mean" "none" "sum" "adam"
  "\0%s%d" "/nonexistent/x" {} {} {1,2} {2,3} {{1,2},{3}} {{1,2},{3,4}} {-1} {{},2} {0/0} {1,nil,3}
  {[1]="x",y=2} {"a","b"} {x=1} {lr=-1} {lr="x"} {lr=0/0} {steps=0} {epochs=-1} {nonsense=1} {[{}]=1} {2.5}
  {string=""} {string="\0\1\2"} {string=3} {[3]=1} {math.maxinteger} {1e300} {1/0}
  print trap cycle() setmetatable({},{__index=trap}) setmetatable({},{__len=trap,__call=trap})
  setmetatable({},{__call=trap}) setmetatable({},{__pairs=trap,__name=7}) setmetatable({},{__tostring=trap})
  setmetatable({},{__index=mare.zeros(2)}) io.stderr coroutine.create(print)
  closed(mare.zeros(2)) closed(mare.zeros(2,3)) mare.tensor(1.5) mare.zeros(0) mare.zeros(2,0,3)
  mare.zeros(2,3) mare.ones(3) mare.ones(3,2):t() mare.ones(3,"f64") mare.ones(2,3,"f64") mare.ones(2,3,"i64")
  mare.ones(3,"i64") mare.ones(2,"i64") mare.ones(2,3,"u8") mare.ones(3,"u8") mare.ones(2):requires_grad()
  mare.ones(2,2):requires_grad()*2 mare.ones(1):expand(3) mare.full({2},0/0) mare.full({2,3},1/0)
  mare.ones(2,1,2,1,2,1,2,1) mare.tensor{{1,2},{3,4}} mare.rand(4,3) mare.tensor({1,2,1,2},"i64")
  mare.tensor({1,2,3,4},"f64") mare.rand(2,3,4,4) mare.rand(2,4,3) mare.zeros(3,3) mare.eye(3)
  mare.tensor({0,-1},"i64") mare.tensor({2^62,1},"i64") mare.full({2},1e30) mare.full({2},-1)
  {mare.ones(2),mare.ones(2)} {mare.ones(2):requires_grad()} {x=mare.ones(2)} {a=mare.ones(3),b={1,2,3}}
  {mare.ones(2),mare.ones(3)} {closed(mare.ones(2))} {{mare.ones(2)},x={}} {params={mare.ones(2)}}
  mare.nn.Linear(3,2) mare.nn.ReLU() mare.nn.Module mare.optim mare.nn.Linear
  {mare.nn.Linear(3,2)} {data=mare.ones(4,3)} {mare.nn.Linear(3,2),"x"} mare
  mare.data.dataset(mare.rand(4,3),mare.tensor({1,2,1,2},"i64"))
  mare.data.frame{a={1,2,3},b={"x","y","z"}} mare.models.Ridge{} mare.models.KMeans{k=2}
  mare.optim.sgd({mare.ones(3)},{lr=0.1}) mare.schedule.constant(0.1) mare.plot.line{1,2,3}
  function(...)return...end function()end function(v)return(v*v):sum()end function(v)return{v}end
  function()return(0/0)end function()return"x"end function(v)v:close()return(v)end
  function(v)return(v:sum())end function()return(mare.ones(2))end function()error()end
  function()return(mare.zeros(0))end function(t)return(t.x)end function()return(coroutine.yield())end
  ]]):gmatch "%S+" do add(text) end

local env = setmetatable({mare = mare, trap = trap, closed = closed, cycle = cycle}, {__index = _G})
local makers = {}
for i, text in ipairs(plain) do
  makers[i] = {text = text, make = assert(load("return " .. text, "=value", "t", env))}
end

-- an option table with a name that the function may know
local names = {"lr", "steps", "reduction", "weight", "dim", "seed", "size", "shuffle", "method", "tol",
  "epochs", "batch", "data", "loss", "optimizer", "validation", "metrics", "schedule", "classes", "clusters",
  "components", "neighbours", "penalty", "solver", "weights", "priors", "shrinkage", "covariance", "kind",
  "bias", "stride", "padding", "dilation", "groups", "p", "heads", "hidden", "layers", "momentum",
  "weight_decay", "betas", "eps", "title", "x", "y", "labels", "width", "height", "header", "types", "trace",
  "restarts", "bounds", "lower", "upper", "population", "stratify", "folds", "settings", "scoring", "retain",
  "strict", "name", "forward", "backward", "init", "delta", "ignore_index", "label_smoothing", "alpha",
  "gamma", "degree", "max_norm", "nesterov", "margin", "warmup", "total", "decay", "string", "columns",
  "prefetch", "parallel", "batch_first", "bidirectional", "early_stop", "clip_norm", "accumulate",
  "checkpoint", "resume", "on_epoch", "average", "k", "bins", "levels", "log", "points", "keepdim"}

local function any()
  local m = pick(makers)
  return m.make(), m.text
end

local function anything()
  if random(1, 8) > 1 then return any() end
  local t, text = {}, {}
  for i = 1, random(1, 2) do
    local name = pick(names)
    local what
    t[name], what = any()
    text[i] = name .. "=" .. what
  end
  return t, "{" .. table.concat(text, ",") .. "}"
end

-- -- what is called ---------------------------------------------------------------------------

local targets = {}      -- { name =, f =, made = text and maker of the first argument }

local skipped = {
  ["mare.memory_limit"] = true, ["mare.threads"] = true, ["mare.data.fashion_mnist"] = true,
  ["mare.mpi"] = true, ["Tensor.close"] = true,
}

-- methods of estimators that only mare's own files call
local hidden = {cached = true, input = true, ready = true, run = true, run_finite = true}

local function callable(v)
  local meta = getmetatable(v)
  return type(v) == "function" or type(v) == "table" and type(meta) == "table" and meta.__call ~= nil
end

-- calls by name, as users write them: errors take their names from there
local function caller(path, name, method)
  local where = method and "v" or path:match "^(.*)%.[%w_]+$"
  local code = method and "return function(v, ...) local r = v:%s(...) return r end"
    or "local t = " .. where .. " return function(...) local r = t.%s(...) return r end"
  return assert(load(code:format(name), "=call", "t", env))()
end

local function target(path, f, subject)
  if callable(f) and not skipped[path] and path:find(pattern) then
    local name = path:match "[%w_]+$"
    targets[#targets + 1] = {path = path, name = name, subject = subject, direct = f,
      f = caller(path, name, subject)}
  end
end

local function subject(text)
  local make = assert(load("return " .. text, "=subject", "t", env))
  local ok, why = pcall(make)
  if not ok then error("subject " .. text .. ": " .. tostring(why)) end
  return {text = text, make = make}
end

local tensors = {}
for _, m in ipairs(makers) do
  if m.text:find "^mare%.[%w]+[%({]" then
    local ok, v = pcall(m.make)
    if ok and mare.is_tensor(v) then tensors[#tensors + 1] = m end
  end
end

for _, entry in ipairs(doc.index()) do
  if entry.part == "Tensor" then
    target(entry.path, entry.value, "tensor")
  else
    target(entry.path, entry.value)
  end
end
for name, f in pairs(mare.out) do target("mare.out." .. name, f) end

-- objects, and the methods that the documentation names or their metatables have
local objects = {
  Dataset = {[[mare.data.dataset(mare.rand(6,3),mare.tensor({1,2,1,2,1,2},"i64"))]],
    [[mare.data.dataset(mare.rand(4,2))]], [[mare.data.dataset(mare.zeros(0,2))]]},
  Frame = {[[mare.data.frame{a={1,2,3},b={"x","y",false},c=mare.ones(3)}]]},
  Generator = {"mare.data.generator(function()return(coroutine.wrap(function()for i=1,9 do " ..
    "coroutine.yield(mare.rand(2))end end))end,{buffer=8})"},
  Module = {"mare.nn.Linear(3,2)", "mare.nn.Sequential{mare.nn.Linear(3,2),mare.nn.Tanh()}",
    "mare.nn.Module:extend('Own',{init=function()end,forward=function(_,x)return(x)end})()"},
  Optimizer = {"mare.optim.sgd({mare.ones(3):requires_grad()},{lr=0.1})",
    "mare.optim.adam({mare.ones(3):requires_grad()})",
    "mare.optim.lbfgs({mare.ones(3):requires_grad()})",
    "mare.optim.ema(mare.optim.sgd({mare.ones(3):requires_grad()},{lr=0.1}))",
    "mare.optim.clip_norm(mare.optim.sgd({mare.ones(3):requires_grad()},{lr=0.1}),1)"},
  Estimator = {}, Classifier = {}, Regressor = {},
}
local classifier = [[mare.tensor({1,2,1,2,1,2},"i64")]]
for _, s in ipairs {"mare.models.GaussianClassifier{covariance='diagonal'}", "mare.models.NaiveBayes{kind='gaussian'}",
  "mare.models.LogisticRegression{}", "mare.models.Perceptron{}", "mare.models.LinearSVM{}",
  "mare.models.KNN{k=2}", "mare.models.SoftmaxRegression{}"} do
  for _, text in ipairs {s, s .. ":fit(mare.rand(6,3)," .. classifier .. ")"} do
    table.insert(objects.Estimator, text)
    table.insert(objects.Classifier, text)
  end
end
for _, s in ipairs {"mare.models.LinearRegression{}", "mare.models.Ridge{}", "mare.models.Lasso{}",
  "mare.models.KNNRegressor{k=2}", "mare.models.HuberRegression{}"} do
  for _, text in ipairs {s, s .. ":fit(mare.rand(6,3),mare.rand(6))"} do
    table.insert(objects.Estimator, text)
    table.insert(objects.Regressor, text)
  end
end
for _, s in ipairs {"mare.models.KMeans{k=2}", "mare.models.PCA{components=2}",
  "mare.models.GaussianMixture{k=2}", "mare.data.Standardize{}", "mare.data.MinMax{}",
  "mare.data.Normalize{}", "mare.data.PCAWhiten{}", "mare.models.OneVsRest{}"} do
  for _, text in ipairs {s, s .. ":fit(mare.rand(6,3)," .. classifier .. ")"} do
    if pcall(load("return " .. text, "=s", "t", env)) then table.insert(objects.Estimator, text) end
  end
end

local function add_method(class, name, text)
  if hidden[name] then return end
  local s = subject(text)
  local ok, f = pcall(function() return s.make()[name] end)
  if ok and type(f) == "function" then target(class .. "." .. name, f, s) end
end

local function own_methods(text)      -- the names in the metatable of what text makes
  local meta, list = getmetatable(subject(text).make()), {}
  local function take(t)
    for k, v in pairs(t) do
      if type(k) == "string" and not k:find "^_" and type(v) == "function" then list[#list + 1] = k end
    end
  end
  if type(meta) == "table" then
    take(meta)
    if type(meta.__index) == "table" then take(meta.__index) end
    if type(meta.__members) == "function" then
      for _, name in ipairs(meta.__members(subject(text).make())) do list[#list + 1] = name end
    end
  end
  table.sort(list)
  return list
end

for _, m in ipairs(doc.methods()) do
  for _, text in ipairs(objects[m.part] or {}) do add_method(m.part, m.name, text) end
end
for _, text in ipairs {"mare.plot.line{1,2,3}", "mare.metrics.stream{'accuracy'}",
  "mare.data.Standardize{}:fit(mare.rand(6,3))", "mare.models.KMeans{k=2}:fit(mare.rand(6,3))",
  "mare.models.PCA{components=2}:fit(mare.rand(6,3))", "mare.data.OneHot{}",
  "mare.models.GaussianMixture{k=2}:fit(mare.rand(9,3))",
  "mare.optim.ema(mare.optim.sgd({mare.ones(3):requires_grad()},{lr=0.1}))", "mare.scope()"} do
  for _, name in ipairs(own_methods(text)) do add_method((text:match "[%w_.]+"), name, text) end
end

-- modules, schedules and differentiated functions are called
local calls = {"mare.schedule.cosine(0.1,10)", "mare.schedule.warmup(3,mare.schedule.constant(0.1))",
  "mare.grad(function(v)return(v*v):sum()end)", "mare.value_and_grad(function(v)return(v*v):sum()end)",
  "mare.op{name='own',forward=function(v)return(v*2)end,backward=function(g)return(g*2)end}"}
for name, arguments in pairs {Linear = "3,2", Bilinear = "3,3,2", Embedding = "5,2", Conv1d = "2,3,2",
  Conv2d = "3,2,3", ConvTranspose2d = "3,2,2", MaxPool = "2", AvgPool = "2", AdaptiveAvgPool = "2",
  BatchNorm1d = "3", BatchNorm2d = "3", LayerNorm = "3", GroupNorm = "1,3", RMSNorm = "3", Dropout = "0.5",
  Dropout2d = "0.5", AlphaDropout = "0.5", GaussianNoise = "0.5", RNN = "3,2", LSTM = "3,2", GRU = "3,2",
  RNNCell = "3,2", LSTMCell = "3,2", GRUCell = "3,2", MultiheadAttention = "4,2",
  TransformerEncoderLayer = "4,2", Flatten = "", Reshape = "-1", Upsample = "{scale=2}", Maxout = "2", GLU = "",
  Softmax = "", PReLU = "", RReLU = "", SinusoidalPositions = "4", LearnedPositions = "8,4"} do
  local text = ("mare.nn.%s(%s)"):format(name, arguments)
  calls[#calls + 1] = text
end
table.sort(calls)
for _, text in ipairs(calls) do
  local path = text:match "^[%w_.]+"
  if path:find(pattern) then
    targets[#targets + 1] = {path = path, name = path:match "[%w_]+$", subject = subject(text),
      f = function(f, ...) return f(...) end, called = true}
  end
end

table.sort(targets, function(a, b)
  if a.path ~= b.path then return a.path < b.path end
  local s, t = a.subject, b.subject
  return (type(s) == "table" and s.text or s or "") < (type(t) == "table" and t.text or t or "")
end)

-- operators and indices
local operators = {
  index = function(t, a) local v = t[a] return v end,
  index2 = function(t, a, b) local v = t[{a, b}] return v end,
  range = function(t, a, b) local v = t[{{a, b}}] return v end,
  newindex = function(t, a, b) t[a] = b end,
  newindex2 = function(t, a, b, c) t[{a, b}] = c end,
  add = function(t, a) local v = t + a return v end,
  sub = function(t, a) local v = a - t return v end,
  div = function(t, a) local v = t / a return v end,
  idiv = function(t, a) local v = t // a return v end,
  mod = function(t, a) local v = t % a return v end,
  pow = function(t, a) local v = t ^ a return v end,
  set_grad = function(t, a) t.grad = a end,
}

-- -- the calls ------------------------------------------------------------------------------------

local findings, count = {}, 0

local function finding(kind, t, text, why)
  local key = kind .. " " .. t.path .. " " .. tostring(why):gsub("%d+", "N"):sub(1, 70)
  if findings[key] then return end
  findings[key] = true
  out:write(("%s: %s\n    %s\n"):format(kind, text, (tostring(why):gsub("[\n%c]", " "):sub(1, 300))))
end

-- what messages must not have: words of Lua's own errors, files and names inside mare
local inside = {"attempt to", "'?'", "mare/", ".c:", "upvalue", "mare.core", "table: 0x", "function: 0x",
  "userdata: 0x", "nil value", "stack overflow", "(null)", "C stack",
  "light userdata"}

-- functions that only mare's own files see
local own_names = {}
for _, name in ipairs {"fail", "refuse", "hooks", "batch", "feed", "hold", "forward"} do
  own_names[name] = true
end
for name in pairs(core.functions) do
  own_names[name] = own_names[name] or name:find "_" and not core.methods[name] and mare[name] == nil
end

local function inner_name(why, name)
  local named = why:match "^[^\n]*to '([%w_]+)' %("
  return named and named ~= name and own_names[named]
end

-- what objects that were passed for tables of options say
local passed = {"has no field or method", "unknown column", "has no '", "is not of the form",
  "the tensor is closed", "contains itself"}

-- Does the message name the function, or something of the call's own text: the class of a
-- layer, a metric by its name, an operation that was handed over as a layer?
local function names_function(why, name, text)
  if why:find(name, 1, true) then return true end
  local inner = why:match "to '([%w_]+)' %("
  if inner and text:find("'" .. inner .. "'", 1, true) then return true end
  if inner == "relu" and text:find("mare.nn.ReLU()", 1, true) then return true end
  if inner and text:find "%(mare[,)]" then return true end      -- all operations
  for _, p in ipairs(passed) do
    if why:find(p, 1, true) then return true end
  end
  local class = why:match "^call:1: ([%u][%w]+)" or why:match "'(%u%w+)'"
  if class and text:find(class, 1, true) then return true end
  return name:find "^fit_" and why:find("'fit'", 1, true)
end

local function judge(t, text, why, own)
  if type(why) ~= "string" then
    if why ~= nil then finding("value", t, text, why) end
    return
  end
  if why:find(TRAP, 1, true) or why:find("yield", 1, true) then return end
  if why:find("value:1:", 1, true) or why:find("subject:1:", 1, true) then return end
  for _, p in ipairs(inside) do
    if why:find(p, 1, true) then return finding("inside", t, text, why) end
  end
  if inner_name(why, t.name) then return finding("inside", t, text, why) end
  if not own then return end
  if not why:find("^call:1: ") then return finding("place", t, text, why) end
  if why:find("not enough memory", 1, true) or why:find("memory limit", 1, true) then return end
  if why:find("not fit into memory", 1, true) then return end
  if not names_function(why, t.name, text) then finding("name", t, text, why) end
end

local started = 0
debug.sethook(function()
  if started > 0 and os.clock() - started > 5 then
    started = os.clock()
    error("TOO LONG")
  end
end, "", 1000000)

local function one(t, n)
  state = seed * 1000003 + n
  for _ = 1, 4 do random(0, 1) end
  mare.seed(n)
  local args, text = {}, {}
  local number = random(0, random(1, 5))
  for i = 1, number do
    local ok
    ok, args[i], text[i] = pcall(anything)
    if not ok then args[i], text[i] = nil, "nil" end
  end
  local shown = t.path .. "(" .. table.concat(text, ", ") .. ")"
  local own = not t.called
  local f = t.f
  if t.direct and random(1, 8) == 1 then f, own = t.direct, false end
  if t.subject then
    local s = t.subject == "tensor" and pick(tensors) or t.subject
    local ok, v = pcall(s.make)
    if not ok then return end
    table.insert(args, 1, v)
    if args[1] == nil then return end
    number = number + 1
    shown = s.text .. ":" .. shown
  end
  if log then
    log:seek "set"
    log:write(("%d %s\n"):format(n, shown), (" "):rep(200), "\n")
    log:flush()
  end
  count = count + 1
  started = os.clock()
  local before = collectgarbage "count"
  local ok, why = pcall(f, table.unpack(args, 1, number))
  local spent = os.clock() - started
  started = 0
  if not ok then judge(t, shown, why, own) end
  if spent > 1.5 then finding("slow", t, shown, ("%.1f s"):format(spent)) end
  if not core.functions.grad_mode() then
    finding("grad mode", t, shown, "off")
    os.exit(3)
  end
  if collectgarbage "count" - before > 200000 then finding("memory", t, shown, "much") end
  for i = 1, number do
    local meta = getmetatable(args[i])
    if type(meta) == "table" and type(meta.__name) == "string" and meta.__name:find "scope" then
      pcall(function() args[i]:close() end)
    end
  end
end

for name, f in pairs(operators) do
  if ("operator." .. name):find(pattern) then
    targets[#targets + 1] = {path = "operator." .. name, name = name, f = f, subject = "tensor", called = true}
  end
end
table.sort(targets, function(a, b) return a.path < b.path end)

io.stdout:write(#targets, " targets\n")
for round = 1, rounds do
  for i, t in ipairs(targets) do
    local n = (round - 1) * #targets + i
    if n >= first then one(t, n) end
  end
end
io.stdout:write(("%d calls\n"):format(count))
