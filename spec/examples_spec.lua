-- examples_spec.lua -- the examples run, reach what they promise, and read their options.

local lua = os.getenv "LUA" or "lua5.4"

-- What a program prints, and whether it ended well.
local function run(command)
  local pipe = assert(io.popen(lua .. " " .. command .. " 2>&1"))
  local text = pipe:read "a"
  return text, pipe:close()
end

local function has_fashion_mnist()
  return (pcall(function()
    assert(require "mare".data.fashion_mnist())
  end))
end

local function accuracy(text)
  return tonumber(text:match "test accuracy (%d%.%d+)") or error(text)
end

local function with_file(f)
  local path = os.tmpname()
  f(path)
  os.remove(path)
end

describe("01-digits", function()
  it("learns the digits, saves, loads and predicts", function()
    with_file(function(path)
      local text, ok = run("examples/01-digits.lua --out " .. path)
      assert.is_true(ok, text)
      assert.is_true(accuracy(text) >= 0.95, text)
      assert.truthy(text:find("saved to " .. path .. " and read back", 1, true))
      assert.truthy(text:find "this is a %d %(probability")
      local file = assert(io.open(path, "rb"))
      assert.is_true(file:seek "end" > 4 * 9610)
      file:close()
    end)
  end)

  it("prints one plain line for an epoch when no terminal listens", function()
    with_file(function(path)
      local text = run("examples/01-digits.lua --epochs 7 --out " .. path)
      local _, lines = text:gsub("\nepoch [57]/7  loss ", "")
      assert.equal(2, lines, text)
      assert.is_nil(text:find "[\r\27]")
    end)
  end)

  it("gives the same numbers for the same seed", function()
    with_file(function(path)
      local command = "examples/01-digits.lua --epochs 2 --seed 7 --out " .. path
      assert.equal(accuracy((run(command))), accuracy((run(command))))
    end)
  end)
end)

describe("25-fashion-mnist", function()
  it("learns from a part of the pictures", function()
    if not has_fashion_mnist() then
      pending "dataset-fashion-mnist is not installed"
      return
    end
    with_file(function(path)
      local text, ok = run("examples/25-fashion-mnist.lua --epochs 2 --limit 6000 --out " .. path)
      assert.is_true(ok, text)
      assert.is_true(accuracy(text) >= 0.75, text)
      assert.truthy(text:find "this is a %S+ %(probability")
    end)
  end)
end)

describe("every example", function()
  it("has a header, a range for each key number, and 40 to 150 lines", function()
    local pipe = assert(io.popen "ls examples/[0-9]*.lua")
    for path in pipe:lines() do
      local file = assert(io.open(path))
      local text = file:read "a"
      file:close()
      local name = path:match "[^/]+$"
      local _, lines = text:gsub("\n", "")
      local head = text:match "^%-%-.-\n\n"
      local _, ranges = head:gsub("\n%-%- expect: %-?[%d.e-]+ %-?[%d.e-]+", "")
      local _, keys = text:gsub("lesson%.key%(", "")
      assert.is_true(lines >= 40 and lines <= 150, ("%s has %d lines"):format(path, lines))
      assert.equal("-- " .. name .. " -- ", text:sub(1, #name + 7), path)
      assert.truthy(head:find "\n%-%- ids: %u%d", path)
      assert.truthy(head:find "What is asked%.", path)
      assert.is_true(keys > 0, path)
      assert.equal(keys, ranges, path)
    end
    pipe:close()
  end)

  it("stands in the index, whose links lead somewhere (make gallery writes it)", function()
    local file = assert(io.open "examples/README.md")
    local index = file:read "a"
    file:close()
    local pipe = assert(io.popen "ls examples")
    for name in pipe:lines() do
      if name:find "^%d%d%-.*%.lua$" then
        assert.truthy(index:find("](" .. name .. ")", 1, true), name .. " is not in examples/README.md")
      end
    end
    pipe:close()
    for link in index:gmatch "%]%(([^)]+)%)" do
      local there = io.open("examples/" .. link)
      assert.truthy(there, link)
      there:close()
    end
  end)

  it("explains its options and refuses unknown ones", function()
    local pipe = assert(io.popen "ls examples/[0-9]*.lua")
    for path in pipe:lines() do
      local text, ok = run(path .. " --help")
      assert.is_true(ok, text)
      assert.truthy(text:find("Usage: " .. path:match "[^/]+$", 1, true), text)
      assert.truthy(text:find("--seed", 1, true), text)
      assert.is_nil((select(2, run(path .. " --no-such-option"))))
    end
    pipe:close()
  end)
end)
