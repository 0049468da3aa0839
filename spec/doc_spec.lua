-- doc_spec.lua -- `make doc`: pages without dead links, with a picture for every activation,
-- loss and schedule; annotations that are valid Lua.

local doc = require "mare.doc"
local pictures = require "spec.tools.pictures"

local lua = os.getenv "LUA" or "lua5.4"
local has_gnuplot = os.execute "command -v gnuplot >/dev/null 2>&1" == true and
  not os.getenv "ASAN_OPTIONS" -- its preload is not for gnuplot

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

describe("the reference", function()
  local dir = os.tmpname()
  os.remove(dir)

  setup(function()
    assert(os.execute(("%s spec/tools/reference.lua '%s'"):format(lua, dir)))
  end)
  teardown(function() os.execute(("rm -r '%s'"):format(dir)) end)

  it("has a formula, shapes and an example beside every picture", function()
    local bare, count = {}, 0
    for _, entry in ipairs(doc.index()) do
      if pictures.of(entry) then
        count = count + 1
        local text = entry.text or ""
        if not text:find "Formula: " then bare[#bare + 1] = entry.path .. " formula" end
        if not text:find "`%S" then bare[#bare + 1] = entry.path .. " example" end
        if entry.part ~= "mare.schedule" and not text:find "%(n" and not text:find "lement by element"
            and not text:find "any shape" and not text:find " / %(2 n%)" then
          bare[#bare + 1] = entry.path .. " shapes"
        end
      end
    end
    assert.equal("", table.concat(bare, ", "))
    assert.is_true(count > 80, tostring(count))
  end)

  it("has no dead link", function()
    local pipe = io.popen(("ls '%s'"):format(dir))
    local links = 0
    for name in pipe:lines() do
      local html = name:find "%.html$" and read(dir .. "/" .. name) or ""
      for target in html:gmatch 'href="([^"]+)"' do
        local file, anchor = target:match "^([^#]*)#?(.*)$"
        local page = read(dir .. "/" .. file)
        assert.truthy(page, target)
        assert.truthy(anchor == "" or page:find('id="' .. anchor .. '"', 1, true), target)
        links = links + 1
      end
      for source in html:gmatch 'src="([^"]+)"' do assert.truthy(read(dir .. "/" .. source), source) end
    end
    pipe:close()
    assert.is_true(links > 700)
  end)

  it("shows every name, in both kinds of pages", function()
    local index = read(dir .. "/index.html")
    for _, entry in ipairs(doc.index()) do
      local page = entry.part:gsub("^mare%.", ""):gsub("%.", "_")
      assert.truthy(index:find(('href="%s.html#%s"'):format(page, entry.name), 1, true), entry.path)
      assert.truthy(read(("%s/%s.md"):format(dir, page)):find(entry.name, 1, true), entry.path)
    end
  end)

  it("draws every activation, loss and schedule", function()
    local drawn = { mare = 0, ["mare.loss"] = 0, ["mare.schedule"] = 0 }
    for _, entry in ipairs(doc.index()) do
      if entry.part == "mare.loss" or entry.part == "mare.schedule" then
        assert.truthy(pictures.of(entry), entry.path)
      end
      if pictures.of(entry) then drawn[entry.part] = drawn[entry.part] + 1 end
    end
    assert.equal(38, drawn.mare)
    local page = read(dir .. "/loss.html")
    local mark = has_gnuplot and '<img src="img/loss_huber.svg"' or "huber"
    assert.truthy(page:find(mark, 1, true))
    if has_gnuplot then assert.truthy(read(dir .. "/img/mare_gelu.svg"):find "<svg") end
  end)
end)

describe("annotations", function()
  local pipe = io.popen(lua .. " spec/tools/annotations.lua")
  local text = pipe:read "a"
  pipe:close()

  it("are valid Lua and have every name", function()
    assert(load(text, "=annotations", "t"))
    assert.equal("---@meta mare\n", text:sub(1, 14))
    for _, entry in ipairs(doc.index()) do
      local name = entry.part == "Tensor" and "Tensor:" .. entry.name or entry.path
      assert.truthy(text:find("\n" .. name .. " =", 1, true) or
        text:find("\nfunction " .. name .. "(", 1, true), entry.path)
    end
    assert.truthy(text:find("function mare.leaky_relu(x, slope) end", 1, true))
    assert.truthy(text:find("function Tensor:leaky_relu(slope) end", 1, true))
  end)
end)
