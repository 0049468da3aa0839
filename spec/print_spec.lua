-- print_spec.lua -- tensors as text.

local mare = require "mare"
local number = require "mare.print".number

local function prints(want, t) assert.equal(want, tostring(t)) end

local function lines(t)
  local list = {}
  for line in tostring(t):gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("print(tensor)", function()
  it("shows type, shape and aligned columns", function()
    prints("f32 tensor of shape 2x2\n  1.0  2.5\n  3.0  4.0", mare.tensor { { 1, 2.5 }, { 3, 4 } })
    prints("f64 tensor of shape 3\n   -1.25    0.50  100.00",
      mare.tensor({ -1.25, 0.5, 100 }, "f64"))
    prints("f32 tensor of shape 1x3\n  0.3333  1.0000  2.0000", mare.tensor { { 1 / 3, 1, 2 } })
  end)

  it("shows integers and masks as integers, large ones whole", function()
    prints("i64 tensor of shape 2x2\n    1   20\n  300  -40",
      mare.tensor({ { 1, 20 }, { 300, -40 } }, "i64"))
    prints("i64 tensor of shape 1\n  9223372036854775807", mare.tensor({ math.maxinteger }, "i64"))
    prints("u8 tensor of shape 3\n  0  1  1", mare.tensor { 1, 2, 3 }:ge(2))
  end)

  it("shows scalars as a program would write them", function()
    prints("784.0 (f32 scalar)", mare.tensor(784))
    prints("0.1 (f32 scalar)", mare.tensor(0.1))
    prints("0.1 (f64 scalar)", mare.tensor(0.1, "f64"))
    prints("3 (i64 scalar)", mare.tensor(3, "i64"))
    prints("nan (f32 scalar)", mare.tensor(0 / 0))
    prints("-inf (f64 scalar)", mare.tensor(-1 / 0, "f64"))
  end)

  it("has nan and inf among the numbers", function()
    prints("f32 tensor of shape 4\n   1.5   nan   inf  -inf",
      mare.tensor { 1.5, 0 / 0, 1 / 0, -1 / 0 })
    prints("f32 tensor of shape 2\n  nan  inf", mare.tensor { 0 / 0, 1 / 0 })
  end)

  it("shows whole numbers below 10^9 whole", function()
    prints("f32 tensor of shape 3\n  123456.0      -7.0       nan", mare.tensor { 123456, -7, 0 / 0 })
    prints("f32 tensor of shape 2\n  1.0000e+09  1.0000e+00", mare.tensor { 1e9, 1 })
  end)

  it("turns to powers of ten where it must", function()
    prints("f64 tensor of shape 3\n   1.0000e+10   1.0000e+00  -3.0000e+00",
      mare.tensor({ 1e10, 1, -3 }, "f64"))
    prints("f64 tensor of shape 2\n  1.0000e-07  2.5000e-08", mare.tensor({ 1e-7, 2.5e-8 }, "f64"))
    prints("f64 tensor of shape 3\n   1e-06  1.0000  0.0000", mare.tensor({ 1e-6, 1, 0 }, "f64"))
  end)

  it("shows empty tensors by their shape", function()
    prints("f32 tensor of shape 0", mare.zeros(0))
    prints("f32 tensor of shape 0x3", mare.zeros(0, 3))
    prints("f32 tensor of shape 3x0", mare.zeros(3, 0))
    prints("f32 tensor of shape 2x0x3", mare.zeros(2, 0, 3))
  end)

  it("heads each matrix of more dimensions with its place", function()
    prints("i64 tensor of shape 2x1x2\n[1, :, :]\n  1  2\n[2, :, :]\n  3  4",
      mare.tensor({ { { 1, 2 } }, { { 3, 4 } } }, "i64"))
    assert.equal("[2, 1, :, :]", lines(mare.zeros(2, 2, 1, 1))[6])
  end)

  it("says that a gradient is required", function()
    prints("f32 tensor of shape 1, requires grad\n  1.0", mare.ones(1):requires_grad())
    prints("2.0 (f32 scalar, requires grad)", mare.tensor(2):requires_grad())
  end)

  it("says that a tensor is closed", function()
    local t = mare.ones(2)
    t:close()
    prints("closed tensor", t)
  end)

  it("shows views as what they show", function()
    local t = mare.tensor { { 1, 2 }, { 3, 4 } }
    prints("f32 tensor of shape 2x2\n  1.0  3.0\n  2.0  4.0", t:t())
    prints("f32 tensor of shape 2\n  2.0  4.0", t:select(2, 2))
  end)

  it("wraps vectors", function()
    local shown = lines(mare.arange(1, 100))
    assert.equal("f32 tensor of shape 100", shown[1])
    assert.equal("    1.0    2.0    3.0    4.0    5.0    6.0    7.0    8.0    9.0   10.0   11.0",
      shown[2])
    assert.equal("  100.0", shown[11])
  end)

  it("shortens what is long", function()
    prints("i64 tensor of shape 2000\n     1     2     3   ...  1998  1999  2000",
      mare.arange(1, 2000):to "i64")
    local shown = lines(mare.eye(100):to "i64")
    assert.equal("  1  0  0  ...  0  0  0", shown[2])
    assert.equal("  ...", shown[5])
    assert.equal("  0  0  0  ...  0  0  1", shown[8])
    assert.equal(8, #shown)
  end)

  it("never fills more than a screen", function()
    local shapes = { { 40, 3 }, { 3, 400 }, { 1, 1000 }, { 1000, 1 }, { 1000 }, { 1001 }, { 1e6 },
      { 50, 50, 50 }, { 10, 9, 2 }, { 9, 9, 9, 9 }, { 3, 3, 3, 3, 3 }, { 2, 2, 2, 2, 2, 2, 2, 2 },
      { 500, 1, 2 }, { 1, 1, 1, 900 }, { 100, 1, 1, 1 } }
    for _, shape in ipairs(shapes) do
      for _, dtype in ipairs { "f32", "f64", "i64" } do
        local t = dtype == "i64" and mare.full(shape, math.mininteger, dtype)
          or mare.randn(shape, dtype)
        local shown = lines(t)
        assert.is_true(#shown <= 23, table.concat(shape, "x") .. ": " .. #shown .. " lines")
        for _, line in ipairs(shown) do assert.is_true(#line <= 90, line) end
      end
    end
  end)

  it("leaves no tensor on the tape and takes part in no gradient", function()
    local t = mare.randn(3):requires_grad()
    local y = t * 2
    tostring(y)
    y:sum():backward()
    assert.same({ 2, 2, 2 }, t.grad:totable())
  end)
end)

describe("print.number", function()
  it("is the shortest text that reads back", function()
    assert.equal("784.0", number(784.0))
    assert.equal("784", number(784))
    assert.equal("0.1", number(0.1))
    assert.equal("0.1", number(string.unpack("f", string.pack("f", 0.1)), "f32"))
    assert.equal("0.30000000000000004", number(0.1 + 0.2))
    assert.equal("1e+300", number(1e300))
    assert.equal("-inf", number(-math.huge))
  end)
end)
