-- readme_spec.lua -- README names what exists: every target of make, every file; its first
-- program prints what stands below it.

local support = require "spec.support"

local read = support.read

local readme = read "README.md"

-- Targets that a user may name: those declared phony, but for helpers of others.
local function targets()
  local set = {}
  local text = (read "Makefile" .. read "spec/tools/checks.mk" .. read "spec/tools/mpi.mk"):gsub("\\\n", " ")
  for line in text:gmatch "%.PHONY:([^\n]*)" do
    for name in line:gmatch "%S+" do set[name] = true end
  end
  set["clean-counts"] = nil
  return set
end

-- The words between backticks, blocks of code included.
local function code(text)
  local list = {}
  text = text:gsub("\n```%w*\n(.-)\n```", function(block)
    list[#list + 1] = block
    return ""
  end)
  for word in text:gmatch "`([^`]+)`" do list[#list + 1] = word end
  return list
end

describe("README", function()
  it("has every target of make in its table, and no other", function()
    local known, listed = targets(), {}
    assert.truthy(known.all and known.mpi and known.hosts)
    local lists = readme:match "## What make makes\n(.-)\n## "
    for first in lists:gmatch "\n|([^|]*)|" do
      for name in first:gmatch "`([^`]+)`" do listed[name] = true end
    end
    for name in pairs(known) do support.demand(listed[name], "README does not name %s", name) end
    for name in pairs(listed) do support.demand(known[name], "no target %s", name) end
    for _, text in ipairs(code(readme)) do
      for name in text:gmatch "%f[%w]make ([%l][%l%-]*)" do
        support.demand(known[name] or text:find "luarocks", "no target %s", name)
      end
    end
  end)

  it("names files and folders that exist", function()
    local seen = 0
    local names = code(readme)
    for link in readme:gmatch "%]%(([^%)]+)%)" do
      if not link:find "^https?:" then names[#names + 1] = link end
    end
    for _, name in ipairs(names) do
      local path = name:match "^%l+/[%w_%-%./]+$"
      if path and (path:find "^src/" or path:find "^lua/" or path:find "^spec/" or
          path:find "^examples/" or path:find "^rocks/") then
        seen = seen + 1
        support.demand(io.open(path), "README names %s, which is not there", path)
      end
    end
    assert.truthy(seen > 20)
  end)

  it("begins with a program that prints what it says", function()
    local program, output = readme:match "```lua\n(.-)```\n```\n(.-)```"
    local printed = {}
    local env = setmetatable({ print = function(v) printed[#printed + 1] = tostring(v) end }, { __index = _G })
    assert(load(program, "=README", "t", env))()
    local want, got = {}, {}
    for n in output:gmatch "%d%.%d+" do want[#want + 1] = tonumber(n) end
    for n in table.concat(printed):gmatch "%d%.%d+" do got[#got + 1] = tonumber(n) end
    assert.equal(4, #want)
    assert.equal(#want, #got)
    for i, v in ipairs(want) do assert.truthy(support.near(v, got[i], 1e-3)) end
    assert.equal(output:match "^[^\n]*", table.concat(printed):match "^[^\n]*")
  end)
end)
