-- rocks_spec.lua -- the rockspecs: valid, alike, of this version, and naming what exists.

local mare = require "mare"
local support = require "spec.support"

local read = support.read

local release = ("rocks/mare-%s-1.rockspec"):format(mare.version)

-- The fields of a rockspec; it sees no global, as in luarocks.
local function load_rockspec(path)
  local fields = {}
  assert(load(read(path), "@" .. path, "t", fields))()
  return fields
end

local has_luarocks = os.execute "command -v luarocks >/dev/null 2>&1"
local sanitized = os.getenv "ASAN_OPTIONS" -- its preload is not for make and luarocks

describe("the rockspecs", function()
  local scm, numbered

  setup(function()
    scm = load_rockspec "rocks/mare-scm-1.rockspec"
    numbered = load_rockspec(release)
  end)

  it("have the version of the library, in their names too", function()
    assert.equal(mare.version, read "src/mare.h":match '#define MARE_VERSION "([^"]+)"')
    assert.equal(mare.version .. "-1", numbered.version)
    assert.equal("scm-1", scm.version)
  end)

  it("differ in version and source only", function()
    assert.equal(("mare-%s"):format(mare.version), numbered.source.dir)
    assert.equal(("file://build/dist/mare-%s.tar.gz"):format(mare.version), numbered.source.url)
    numbered.version, numbered.source = scm.version, scm.source
    assert.same(scm, numbered)
  end)

  it("pass variables and name targets that the Makefile has", function()
    local makefile = read "Makefile" .. read "spec/tools/checks.mk"
    for _, target in ipairs { scm.build.build_target, scm.build.install_target,
      scm.test.command:match "^make (%l+)$" } do
      assert.truthy(makefile:find("\n" .. target .. ":", 1, true), target)
    end
    for _, list in ipairs { scm.build.build_variables, scm.build.install_variables } do
      for name in pairs(list) do
        assert.truthy(makefile:find("$(" .. name .. ")", 1, true), name)
      end
    end
  end)

  -- mare.mpi may not be built where the specs run, and yet has to go with the engine
  it("bring modules that call what the engine has", function()
    local core, seen = require "mare.core".functions, 0
    local list <close> = io.popen "find rocks -name '*.lua'"
    for path in list:lines() do
      for name in read(path):gmatch "%f[%w_]core%.([%a_]+)" do
        seen = seen + 1
        assert.truthy(core[name], ("%s: core.%s"):format(path, name))
      end
    end
    assert.truthy(seen > 20)
  end)

  it("are named by mare where one is not installed", function()
    local path, loaded = package.path, package.loaded["mare.mpi"]
    finally(function() package.path, package.loaded["mare.mpi"] = path, loaded end)
    package.path, package.loaded["mare.mpi"], mare.mpi = "lua/?.lua;lua/?/init.lua", nil, nil
    support.fails("rocks_spec.lua", function() return mare.mpi end, "mare.mpi is a rock of its own and " ..
      "is not installed; in a checkout of mare: luarocks --lua-version 5.4 make rocks/mare-mpi-scm-1.rockspec")
    assert.truthy(io.open "rocks/mare-mpi-scm-1.rockspec")
  end)

  it("please luarocks", function()
    if sanitized or not has_luarocks then pending "luarocks is not installed" end
    local list = io.popen "ls rocks/*.rockspec"
    for path in list:lines() do
      local pipe = io.popen(("luarocks --lua-version 5.4 lint %s 2>&1"):format(path))
      local said = pipe:read "a"
      assert.equal("true ", tostring(pipe:close()) .. " " .. said)
    end
    list:close()
  end)
end)

-- What `make install` does, without the compiler: the build is there.
describe("make install", function()
  if sanitized then return end
  local root

  local function make(target, more)
    local line = ("make -s --no-print-directory %s DESTDIR=%s PREFIX=/usr %s 2>&1"):format(target, root, more or "")
    local pipe = io.popen(line)
    local said = pipe:read "a"
    assert(pipe:close(), said)
  end

  before_each(function()
    root = os.tmpname()
    os.remove(root)
  end)
  after_each(function() os.execute(("rm -rf '%s'"):format(root)) end)

  it("tells the command where the modules are", function()
    make "install"
    local lines = read(root .. "/usr/bin/mare")
    assert.truthy(lines:find('package.path = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;"', 1, true))
    assert.truthy(lines:find('package.cpath = "/usr/lib/lua/5.4/?.so;"', 1, true))
    assert(load(lines:gsub("^#[^\n]*", "")))
    make "uninstall"
    local pipe = io.popen(("find '%s' -type f"):format(root))
    assert.equal("", pipe:read "a")
    pipe:close()
  end)

  it("leaves the command as it is where another wraps it", function()
    make("install", "WRAPPED=yes")
    assert.equal(read "rocks/mare", read(root .. "/usr/bin/mare"))
  end)
end)
