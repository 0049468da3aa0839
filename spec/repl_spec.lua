-- repl_spec.lua -- the prompt in a real terminal, and the parts that it is made of.

local chunk = require "mare.repl.chunk"
local complete = require "mare.repl.complete".complete
local show = require "mare.repl.show"
local mare = require "mare"
local terminal = require "spec.terminal"

local run = require "spec.support".run

local lua = os.getenv "LUA" or "lua5.4"
local has_readline = pcall(function() return require "readline".handler_install end)

-- -- locals --------------------------------------------------------------------------------------

describe("lift", function()
  local cases = {
    { "local x = 1", "      x = 1", { "x" } },
    { "local x", "      x = nil", { "x" } },
    { "local a, b = f()", "      a, b = f()", { "a", "b" } },
    { "local x <const> = 1", "      x         = 1", { "x" } },
    { "local function f() local y = 1 end", "      function f() local y = 1 end", { "f" } },
    { "do local x = 1 end", "do local x = 1 end", {} },
    { "for i = 1, 2 do local x = i end local z = 3", "for i = 1, 2 do local x = i end       z = 3", { "z" } },
    { "if a then local x = 1 else local y = 2 end", "if a then local x = 1 else local y = 2 end", {} },
    { "repeat local x = 1 until x", "repeat local x = 1 until x", {} },
    { "while a do local x = 1 end local y", "while a do local x = 1 end       y = nil", { "y" } },
    { "local s <close> = f()", "local s <close> = f()", {} },
    { "x = 'local y' -- local z", "x = 'local y' -- local z", {} },
    { "x = [[local y]] --[[local z]] local w = 1", "x = [[local y]] --[[local z]]       w = 1", { "w" } },
    { "x = 'a\\'local b' local c", "x = 'a\\'local b'       c = nil", { "c" } },
    { "local t = {f = function() local u = 1 end, ['end'] = 2}; local v = t.x",
      "      t = {f = function() local u = 1 end, ['end'] = 2};       v = t.x", { "t", "v" } },
    { "local _ENV = {}", "local _ENV = {}", {} },
    { "local n = 0x1p4 local m = 1e5", "      n = 0x1p4       m = 1e5", { "n", "m" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local text, names = chunk.lift(case[1])
      assert.equal(case[2], text)
      assert.same(case[3], names)
    end)
  end

  it("keeps variables of the session out of the globals", function()
    local session = chunk.environment()
    local function go(text)
      local f = assert(chunk.compile(text, "=t", session))
      return f()
    end
    go "local tostring = 5"
    go "local print = print"
    go "new_global_of_repl_spec = 6"
    assert.equal(5, go "tostring")
    assert.equal("function", type(tostring))
    assert.equal(print, go "print")
    assert.equal(6, rawget(_G, "new_global_of_repl_spec"))
    _G.new_global_of_repl_spec = nil
    go "local function fact(n) return n < 2 and 1 or n * fact(n - 1) end"
    assert.equal(120, go "fact(5)")
    go "local tostring"
    assert.is_nil(go "tostring")
  end)

  it("tells what is incomplete from what is wrong", function()
    local session = chunk.environment()
    for _, text in ipairs { "for i = 1, 2 do", "f(", "x = {", "x = [[a", "1 +", "if x then", "function f()" } do
      local f, _, more = chunk.compile(text, "=t", session)
      assert.is_nil(f)
      assert.is_true(more, text)
    end
    for _, text in ipairs { "x = = 2", "end", "x = 'a", "for for", "1 2" } do
      local f, message, more = chunk.compile(text, "=t", session)
      assert.is_nil(f)
      assert.is_false(more, text)
      assert.truthy(message:find "^t:1: ")
    end
  end)

  it("sees the semicolon that silences", function()
    assert.same({ "f()", true }, { chunk.silenced "f();" })
    assert.same({ "f() ", true }, { chunk.silenced "f() ; -- words" })
    assert.same({ "x = ';'", false }, { chunk.silenced "x = ';'" })
  end)
end)

-- -- completion and values ------------------------------------------------------------------------

describe("completion", function()
  local env = setmetatable({ mare = mare, x = mare.ones(2), word = "text",
    model = mare.nn.Sequential { mare.nn.Linear(2, 3) } }, { __index = _G })

  local function has(line, name, part)
    local list, of = complete(env, line)
    assert.equal(part, of)
    for _, entry in ipairs(list) do
      if entry == name then return end
    end
    error(("no '%s' among %s"):format(name, table.concat(list, " ")), 2)
  end

  it("knows globals, fields, methods and modules", function()
    has("wor", "word", "wor")
    has("y = whi", "while", "whi")
    has("print(mare.zer", "zeros", "zer")
    has("mare.nn.Lin", "Linear", "Lin")
    has("mare.lo", "loss", "lo")
    has("mare.models.Gau", "GaussianClassifier", "Gau")
    has("1+x:resh", "reshape", "resh")
    has("x.sha", "shape", "sha")
    has("model:para", "parameters", "para")
    has("word:up", "upper", "up")
    has("mare.zeros(2):su", "sum", "su")
  end)

  it("offers after a colon what can be called, and nothing for nothing", function()
    assert.same({}, (complete(env, "x:shap")))
    assert.same({}, (complete(env, "nothing.at.all")))
    assert.same({}, (complete(env, "x + ")))
  end)

  it("names files in strings", function()
    has("mare.load 'spec/repl_sp", "spec/repl_spec.lua", "spec/repl_sp")
    has('io.open("spec/fix', "spec/fixtures/", "spec/fix")
    assert.same({}, (complete(env, "'no/such/place/")))
  end)
end)

describe("values", function()
  it("are shown by what is in them", function()
    assert.equal('{1, 2, a = "b"}', show.text { 1, 2, a = "b" })
    assert.equal("{}", show.text {})
    assert.equal('{["a b"] = {0.5, true}}', show.text { ["a b"] = { 0.5, true } })
    assert.equal("text", show.text "text")
    assert.equal("3.0", show.text(3.0))
    assert.equal("nil", show.text(nil))
    assert.truthy(show.text { x = mare.ones(2, 2) }:find "x = f32 tensor of shape 2x2 ...")
  end)

  it("take no more than a screen", function()
    local long = {}
    for i = 1, 1e5 do long[i] = i * 1000003 end
    local _, lines = show.text(long):gsub("\n", "")
    assert.is_true(lines < 40)
    assert.truthy(show.text(long):find "%.%.%. %d+ more")
    local cyclic = {}
    cyclic.self = cyclic
    assert.truthy(show.text(cyclic):find("self = ", 1, true))
  end)
end)

-- -- the command --------------------------------------------------------------------------------------

describe("mare", function()
  it("tells version and usage", function()
    assert.equal(("Maré %s (Lua 5.4)\n"):format(mare.version), (run "rocks/mare --version"))
    assert.truthy(run "rocks/mare --help":find "^usage: mare ")
    local text, ok = run "rocks/mare --nonsense"
    assert.is_false(ok)
    assert.truthy(text:find "unknown option '%-%-nonsense'")
  end)

  it("runs code, scripts with arguments and standard input", function()
    assert.equal("6\n", (run "rocks/mare -e 'print(#mare.ones(6))'"))
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "print(arg[0] ~= nil, arg[1], ...)\nlocal function f() error 'on purpose' end\nif arg[2] then f() end\n"
    file:close()
    assert.equal("true\ta\ta\n", (run("rocks/mare " .. path .. " a")))
    local text, ok = run("rocks/mare " .. path .. " a b")
    assert.is_false(ok)
    assert.truthy(text:find("mare:   local function f() error 'on purpose' end\n", 1, true), text)
    assert.truthy(text:find(":2: on purpose", 1, true), text)
    assert.truthy(text:find("called from .-:3: if arg%[2%] then f%(%) end"), text)
    assert.equal("7\n", (run "echo 'print(3 + 4)' | rocks/mare"))
    assert.equal("1\t2\n", (run("echo 'print(...)' | rocks/mare - 1 2")))
    os.remove(path)
  end)

  it("prints, silences, remembers and reports without a terminal", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[
local x = 20
x + 1
_ * 2
x = x + 1;
x;
for i = 1, 2 do
  io.write(i, "!")
end
:time x
mare.ones(2):matmul(mare.ones(3))
x ~= nil
local y = = 2
{1, {2}}
:strange
=x
]]
    file:close()
    local text = run("MARE_HISTORY= rocks/mare -i <" .. path)
    os.remove(path)
    local function shown(what) assert.truthy(text:find(what, 1, true), text) end
    shown "> 21\n> 42\n> "
    shown "1!2!"
    assert.truthy(text:find "> 21\n[%d.]+ [mu]s\n", text)
    shown "  mare.ones(2):matmul(mare.ones(3))\nin 8:1: bad argument #1 to 'matmul'"
    shown "> true\n"
    shown "  local y = = 2\nin 10:1: unexpected symbol near '='"
    shown "{1, {2}}"
    shown ":strange is no command"
    assert.truthy(text:find "> 21\n> \n$", text)
  end)

  it("starts from lua5.4 -l mare.repl", function()
    assert.truthy(run("echo '1 + 41' | MARE_HISTORY= " .. lua .. " -l mare.repl"):find "> 42\n")
  end)
end)

-- -- in a terminal ----------------------------------------------------------------------------------

local kinds = { { "with lua-readline", "", has_readline }, { "without lua-readline", "--no-readline", true } }

for _, kind in ipairs(kinds) do
  local editing = kind[2] == ""
  describe("the prompt in a terminal, " .. kind[1], function()
    local history = os.tmpname()

    local function session(f, options)
      if not terminal.available() then
        pending "script (util-linux) is not installed"
        return
      elseif not kind[3] then
        pending "lua-readline is not installed"
        return
      end
      local t = terminal.start(("MARE_HISTORY=%s NO_COLOR=1 rocks/mare %s %s"):format(history, kind[2],
        options or ""))
      local ok, message = xpcall(function()
        t:wait "Ctrl-D leaves.\n"
        t:wait "> "
        f(t)
      end, debug.traceback)
      if not ok then
        t:close()
        error(message, 0)
      end
    end

    it("takes commands of several lines and prints values", function()
      session(function(t)
        t:enter("for i = 1, 3 do", ">> ")
        t:enter("  io.write('<', i * 11, '>', i == 3 and '\\n' or '')", ">> ")
        t:enter("end", "<11><22><33>")
        t:enter("local kept = {1, 2}", "> ")
        t:enter("#kept + 40", "42\n")
        t:enter("mare.eye(2)", "1.0  0.0")
        assert.equal(0, t:leave())
      end)
    end)

    it("shows the line of a mistake, and what was meant", function()
      session(function(t)
        t:enter("mare.nn.Relu()", "did you mean mare.nn.ReLU?")
        t:enter("randm(3)", "did you mean mare.rand")
        t:enter("optimizer = mare.optim.sgd({ mare.ones(2):requires_grad() }, { lr = 1 })", "> ")
        t:enter("optimizer.step()", ":1: an optimizer expected before the name")
        t:enter("mare.data.iris().x.sum()", "bad argument #1 to 'sum'")
        t:enter("mare.data.csv { string = 'a\\n1\\n' }.names()", "called with a colon")
        t:enter("select('#', nil, nil)", "2\n")
        assert.equal(0, t:leave())
      end)
    end)

    it("ends an endless loop, twice, also of a coroutine, and a line being typed", function()
      session(function(t)
        for _ = 1, 2 do
          t:enter("print('go' .. 'ing'); while true do end", "going")
          t:type "\3"
          t:wait "interrupted!"
          t:wait "> "
        end
        t:enter("while true do mare.ones(200, 200):matmul(mare.ones(200, 200)) ready = true end")
        os.execute "sleep 0.3"
        t:type "\3"
        t:wait "interrupted!"
        t:enter("tostring(ready) .. '!'", "true!")
        t:enter("coroutine.wrap(function() print('in' .. 'side'); while true do end end)()", "inside")
        t:type "\3"
        os.execute "sleep 0.2"
        t:type "\3"
        t:wait "interrupted!"
        t:wait "> "
        t:type "1 + nothing_of_this"
        os.execute "sleep 0.2"
        t:type "\3"
        t:wait "> "
        t:enter("for i = 1, 2 do", ">> ")
        t:type "\3"
        t:wait "> "
        t:enter("6 * 111", "666\n")
        assert.equal(0, t:leave())
      end)
    end)

    it("ends a long training between two steps and keeps what was learned", function()
      session(function(t)
        t:enter("net = nn.Sequential { nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10) };", "> ")
        t:enter("opt = mare.optim.adam(net:parameters(), { lr = 0.001 });", "> ")
        t:enter("h = mare.train.fit(net, { data = mare.data.digits(), loss = mare.loss.cross_entropy, " ..
          "optimizer = opt, epochs = 1000000, batch = 32 })")
        os.execute "sleep 1"
        t:type "\3"
        os.execute "sleep 0.3"
        t:enter("print(h.stopped, opt.steps > 10)", "interrupted\ttrue")
        assert.equal(0, t:leave())
      end)
    end)

    it("draws a figure", function()
      session(function(t)
        t:enter("mare.plot.line({1, 4, 9, 16}, { title = 'squa' .. 'res' })", "squares")
        local shown = t:wait "> "
        local _, lines = shown:gsub("\n", "")
        assert.is_true(lines > 10 and lines < 24)
        assert.truthy(shown:find("15┤", 1, true))
        assert.equal(0, t:leave())
      end)
    end)

    it("completes names and files", function()
      if not editing then return end
      session(function(t)
        t:type "mare.linsp\t(0, 1, 3)\n"
        t:wait "f32 tensor of shape 3"
        t:enter("x = mare.ones(2, 3)", "> ")
        t:type "1+x:resh\t(3, 2)\n"
        t:wait "1+x:reshape(3, 2)"
        t:type "#io.open('spec/repl_sp\t'):read 'l'\n"
        t:wait "spec/repl_spec.lua"
        t:wait "> "
        t:type "mare.loss.multi\t\t"
        t:wait "multilabel_soft_margin"
        t:type "\3"
        t:wait "> "
        assert.equal(0, t:leave())
      end)
    end)

    it("remembers what was typed in an earlier session", function()
      session(function(t)
        t:enter("'remem' .. 'bered ' .. 6 * 7", "remembered 42")
        assert.equal(0, t:leave())
      end)
      session(function(t)
        if editing then
          t:type "\27[A\n"
          t:wait "remembered 42"
        end
        assert.equal(0, t:leave())
      end)
      if not terminal.available() or not kind[3] then return end
      local file = assert(io.open(history))
      assert.truthy(file:read "a":find("'remem' .. 'bered ' .. 6 * 7\n", 1, true))
      file:close()
      os.remove(history)
    end)

    it("stays after a script", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write "made_by_script = 99"
      file:close()
      session(function(t)
        t:enter("made_by_script + 1", "100\n")
        assert.equal(0, t:leave())
      end, "-i " .. path)
      os.remove(path)
      os.remove(history)
    end)
  end)
end

describe("help at the prompt", function()
  it("answers ?name and ??word", function()
    if not terminal.available() then
      pending "script (util-linux) is not installed"
      return
    end
    local t = terminal.start "MARE_HISTORY= rocks/mare"
    t:wait "> "
    t:enter("?adam", "mare.optim.adam(params, opts)")
    t:wait "Kingma and Ba"
    t:enter("?cross_entropy", "mare.loss.cross_entropy(logits, target, opts)")
    t:enter("?Tensor.reshape", "x:reshape(shape ...)")
    t:enter("?nosuch", "nothing is named 'nosuch'; near it:")
    t:enter("??Nesterov", "mare.optim.nadam")
    t:enter("y = mare.ones(3);", "> ")
    t:enter("?y", "f32 tensor of shape 3")
    t:enter("?", "At the prompt")
    assert.equal(0, t:leave())
  end)
end)
