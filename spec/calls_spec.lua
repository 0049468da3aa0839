-- calls_spec.lua -- every public function with arguments at random, in a process of its own:
-- spec/fuzz/calls.lua has what must hold.  MARE_CALLS=n: n rounds, each of one call of
-- every function (1), MARE_SEED another sequence.

describe("every public function", function()
  local function run(rounds, seed)
    local here = os.getenv "PWD"
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local command = "cd %s && MARE_THREADS=1 LOG=call lua5.4 %s/spec/fuzz/calls.lua %d %d " ..
      "2>&1 </dev/null"
    local pipe = assert(io.popen(command:format(folder, here, seed, rounds)))
    local text = pipe:read "a"
    local ended = pipe:close()
    local last = io.open(folder .. "/call")
    local call = last and last:read "l"
    if last then last:close() end
    os.execute("rm -r " .. folder)
    return text, ended, call
  end

  it("refuses nonsense by its name, at the line of the call", function()
    local rounds = tonumber(os.getenv "MARE_CALLS") or 1
    local text, ended, call = run(rounds, tonumber(os.getenv "MARE_SEED") or 1)
    local count = tonumber(text:match "(%d+) calls\n$")
    if not (ended and count) then error("ended in the call " .. tostring(call) .. "\n" .. text) end
    assert.is_true(count >= 1200 * rounds)
    local found = text:match "\n(%l[%l ]*: .*)"
    if found then error(found) end
  end)

  -- what is called, what the message begins with, and words of the reason
  local cases = [[
mare.data.dataset(mare.rand(6, 3)):with_inputs { a = 1 } | #1 to 'with_inputs' | list of tensors expected, got table
mare.data.dataset(mare.rand(6, 3)):with_inputs(mare.tensor(1)) | #1 to 'with_inputs' | got a scalar
mare.data.dataset(mare.rand(6, 3)):with_inputs { mare.zeros(5) } | #1 to 'with_inputs' | 5 rows of inputs for 6 rows
mare.data.dataset(mare.rand(2, 3)):with_inputs { mare.ones(2), mare.ones(3) } | #1 to 'with_inputs' | tensor 2
mare.train.predict(mare.nn.ReLU(), { mare.ones(2), mare.ones(3) }) | #2 to 'predict' | tensor 2 has 3 rows, the first 2
mare.linalg.cond(mare.ones({ 2, 3 }, "i64")) | #1 to 'cond' | f32 or f64 tensor expected
mare.linalg.cond(mare.ones(2)) | #1 to 'cond' | a matrix or a batch of matrices expected, got shape 2
mare.linalg.cond(mare.ones(2, 3), 1) | #1 to 'cond' | a square matrix expected, got shape 2x3
mare.linalg.cond(mare.eye(3), "x") | #2 to 'cond' | unknown norm of matrices: x; known: fro
mare.nn.Linear(3, 2):summary(mare.ones({ 2, 3 }, "f64")) | Linear(3 -> 2) | input is f64, weights are f32
mare.nn.TransformerEncoderLayer(8) | #2 to 'TransformerEncoderLayer' | at least 1 expected, got nil
mare.nn.TransformerEncoderLayer(8, 3) | #2 to 'TransformerEncoderLayer' | width 8 is no multiple of 3 heads
mare.nn.SinusoidalPositions(3, 5, {}) | #3 to 'SinusoidalPositions' | element type (a string) expected, got table
mare.nn.SinusoidalPositions(math.maxinteger) | #1 to 'SinusoidalPositions' | a range of
mare.nn.LearnedPositions(3, 5, "f16") | #3 to 'LearnedPositions' | unknown element type 'f16'
mare.nn.PReLU(3, 0.1, "f16") | #3 to 'PReLU' | unknown element type 'f16'
mare.nn.LayerNorm { 1, nil, 3 } | #1 to 'LayerNorm' | whole number of at least 1 expected, got nil
mare.nn.init.uniform(mare.ones(1):expand(3)) | #1 to 'uniform' | an expanded tensor is not written in place
mare.metrics.log_loss(mare.ones(2, 3), mare.tensor({ 1, 4 }, "i64")) | #2 to 'log_loss' | label 4; scores are of
mare.data.lags({ 1, 2, 3 }, mare.data.frame { a = { 1, 2, 3 } }) | #2 to 'lags' | got an empty list
mare.data.frame { a = { 1, 2 } }:sort(mare.data.dataset(mare.rand(4, 3))) | #1 to 'sort' | no column is named
mare.dot(mare.ones({ 2 }, "i64"), mare.ones({ 2 }, "i64")) | #1 to 'dot' | f32 or f64 tensor expected
mare.dot(mare.ones(2), mare.ones({ 2 }, "f64")) | #2 to 'dot' | element types f32 and f64 do not mix
mare.loss.l1(mare.ones({ 2 }, "u8")) | #1 to 'l1' | f32 or f64 tensor expected
mare.loss.elastic(mare.ones({ 2 }, "i64")) | #1 to 'elastic' | f32 or f64 tensor expected
mare.loss.l2(mare.nn.Linear) | #1 to 'l2' | list of tensors or module expected, got a class
mare.loss.msle(mare.ones({ 2 }, "i64"), mare.ones({ 2 }, "i64")) | #1 to 'msle' | f32 or f64 tensor expected
mare.loss.multilabel_margin(mare.ones({ 2, 3 }, "i64"), mare.ones(2, 3)) | #1 to 'multilabel_margin' | f32
mare.loss.cross_entropy(mare.ones(2), mare.zeros(2, 0, 3)) | #2 to 'cross_entropy' | shape 2x0x3 does not match
mare.loss.cross_entropy(mare.ones(2), mare.ones({ 2 }, "i64")) | #2 to 'cross_entropy' | one label for the scores
mare.plot.surface(function() return mare.ones(2) end) | #1 to 'surface' | the function returned a f32 tensor
mare.plot.function_steps(function() return mare.ones(2) end) | #1 to 'function_steps' | the function returned a f32
mare.train.predict(function(v) return v:sum() end, mare.rand(4, 3), 2) | #1 to 'predict' | the model returned a scalar
mare.schedule.product(0/0) | #1 to 'product' | nan is outside
mare.models.OneVsRest():fit(mare.rand(3, 2), { 1, nil, 3 }) | #2 to 'fit' | number expected, got nil
mare.plot.activation "mean" | #1 to 'activation' | 'mean' does not work element by element
]]

  it("names itself where a function inside it refuses", function()
    local mare = require "mare"
    for code, head, why in cases:gmatch "([^\n]-) | ([^\n]-) | ([^\n]*)\n" do
      local ok, message = pcall(assert(load("local mare = ... local v = " .. code, "=call")), mare)
      head = head:find "^#" and "bad argument " .. head or head
      if ok or message:find("call:1: " .. head, 1, true) ~= 1 or not message:find(why, 1, true) then
        error(code .. ": " .. tostring(message))
      end
    end
  end)
end)
