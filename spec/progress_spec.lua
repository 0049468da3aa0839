-- progress_spec.lua -- the progress line, with a clock and an output of the spec's own.

local progress = require "mare.progress"

-- A file that remembers, and a clock that advances by `tick` each time it is read.
local function recorder()
  local out = { text = {} }
  function out:write(...) for _, s in ipairs { ... } do self.text[#self.text + 1] = s end end
  function out.flush() end
  function out:all() return table.concat(self.text) end
  return out
end

local function clock(tick)
  local now = 0
  return function()
    now = now + tick
    return now
  end
end

local function run(opts, epochs, steps)
  opts.out, opts.epochs, opts.steps = recorder(), epochs, steps
  opts.clock = opts.clock or clock(0.05)
  local line = progress.new(opts)
  for _ = 1, epochs do
    for step = 1, steps do line:step(10, 1 / step) end
    line:epoch { accuracy = 0.5 }
  end
  return opts.out:all()
end

describe("progress", function()
  it("writes one plain line for an epoch where there is no terminal", function()
    local text = run({ live = false }, 2, 4)
    assert.equal("epoch 1/2  loss 0.5208  accuracy 0.5000  800 samples/s  50ms\n"
      .. "epoch 2/2  loss 0.5208  accuracy 0.5000  800 samples/s  50ms\n", text)
  end)

  it("keeps only some of the lines when asked to, and the last", function()
    local _, lines = run({ live = false, every = 2 }, 5, 1):gsub("\n", "")
    assert.equal(3, lines)
  end)

  it("rewrites its line on a terminal, at most ten times a second", function()
    local text = run({ live = true, clock = clock(0.001) }, 1, 500)
    local _, drawn = text:gsub("\r", "")
    assert.is_true(drawn >= 5 and drawn <= 8, drawn)
    assert.truthy(text:find("epoch 1/1 [", 1, true))
    assert.truthy(text:find "%d samples/s  loss 0%.%d+  %d+ms left")
    assert.equal("\n", text:sub(-1))
    for line in text:gmatch "[^\r\n]+" do assert.is_true(#line <= 90, line) end
  end)

  it("leaves out a validation that pause() excludes", function()
    local out, now = recorder(), 0
    local line = progress.new { steps = 1, out = out, live = false, clock = function() return now end }
    now = 1
    line:step(100, 2)
    line:pause()
    now = 50
    assert.equal(2, line:epoch())
    assert.equal("epoch 1/1  loss 2.0000  100 samples/s  1.0s\n", out:all())
  end)

  it("names units, and knows no terminal in a pipe", function()
    assert.truthy(run({ live = false, unit = "words" }, 1, 1):find("words/s", 1, true))
    local pipe = io.popen([[lua5.4 -e 'print(require "mare.progress".is_terminal())']])
    assert.equal("false", pipe:read "l")
    pipe:close()
  end)

  it("cuts a line that the terminal would wrap", function()
    local text = run({ live = true, columns = 30, clock = clock(1) }, 1, 5)
    local rewritten = 0
    for line in text:gmatch "\r([^\r]*)\27%[K" do
      if not line:find "accuracy" then
        rewritten = rewritten + 1
        assert.equal(29, #line)
      end
    end
    assert.equal(5, rewritten)
  end)

  it("writes durations and counts for people", function()
    assert.equal("?", progress.duration(1e300))
    assert.equal("12ms", progress.duration(0.0123))
    assert.equal("8.3s", progress.duration(8.31))
    assert.equal("1m00s", progress.duration(59.96))
    assert.equal("2m05s", progress.duration(125))
    assert.equal("1h02m", progress.duration(3725))
    assert.equal("?", progress.duration(1 / 0))
    assert.equal("7", progress.count(7))
    assert.equal("1,000", progress.count(1000))
    assert.equal("203,530", progress.count(203530))
    assert.equal("1,234,567", progress.count(1234567.2))
  end)

  it("refuses unknown options and no steps", function()
    local function refuses(want, opts)
      local ok, text = pcall(function() return (progress.new(opts)) end)
      assert.is_false(ok)
      assert.equal(want, text:match "progress_spec.lua:%d+: (.*)$")
    end
    refuses("bad argument #1 to 'progress.new' (unknown option 'step'; did you mean 'steps'? known: clock, columns, "
      .. "epochs, every, live, out, steps, unit)", { step = 3 })
    refuses("bad argument #1 to 'progress.new' (whole number of at least 1 expected, got nil)",
      { epochs = 3 })
  end)
end)
