-- clingo: an answer set program asks a classifier, through functions of #script (lua).

local mare = require "mare"
local process = require "spec.hosts.process"
local demand = require "spec.support".demand

local CLINGO = "/usr/bin/clingo"
local root = io.popen("pwd"):read "l"

-- The shipped flowers in whole millimetres, as facts and as rows of centimetres.
local function flowers()
  local facts, rows = {}, mare.data.iris().x:totable()
  for i, row in ipairs(rows) do
    for k, v in ipairs(row) do row[k] = math.floor(v * 10 + 0.5) end
    facts[i] = ("flower(%d, %d, %d, %d, %d).\n"):format(i, table.unpack(row))
    for k = 1, 4 do row[k] = row[k] / 10 end
  end
  return table.concat(facts), rows
end

-- Kinds of the rows, and the longest petals that one flower of each kind have together.
local function expected(rows)
  local iris, longest, sum = mare.data.iris(), {}, 0
  local model = mare.models.GaussianClassifier { covariance = "shared" }:fit(iris.x, iris.y)
  local kinds = model:predict(mare.tensor(rows)):totable()
  for i, kind in ipairs(kinds) do
    longest[kind] = math.max(longest[kind] or 0, rows[i][3])
  end
  for _, v in pairs(longest) do sum = sum + v end
  return kinds, math.floor(sum * 10 + 0.5)
end

local function check(say, folder)
  local linked = process.output("ldd " .. CLINGO)
  demand(linked:find "liblua5%.4", "it has another Lua:\n%s", linked)
  local facts, rows = flowers()
  process.write(folder .. "/flowers.lp", facts)
  local text = process.output(("cd / && env -i LUA_PATH='%s' LUA_CPATH='%s' %s --outf=0 "
    .. "'%s/spec/hosts/clingo/bouquet.lp' '%s/flowers.lp'"):format(os.getenv "LUA_PATH",
    os.getenv "LUA_CPATH", CLINGO, root, folder))
  demand(text:find "OPTIMUM FOUND", "no optimum:\n%s", text)
  local best = text:match ".*Answer: %d+\n([^\n]*)"
  local kinds, sum = expected(rows)
  local count, petals, taken = 0, 0, {}
  for i, kind in best:gmatch "kind%((%d+),(%d+)%)" do
    demand(kinds[tonumber(i)] == tonumber(kind), "flower %s is of kind %s", i, kind)
    count = count + 1
  end
  demand(count == #rows, "%d flowers of %d", count, #rows)
  for i in best:gmatch "take%((%d+)%)" do
    taken[#taken + 1] = i
    petals = petals + rows[tonumber(i)][3]
  end
  demand(math.abs(petals * 10 - sum) < 0.01, "petals of %g mm, %d are possible", petals * 10, sum)
  say("%d irises of the kinds that the model gives; best are %s, petals of %d mm", count,
    table.concat(taken, " "), sum)
end

return { check = check, programs = { [CLINGO] = "gringo" } }
