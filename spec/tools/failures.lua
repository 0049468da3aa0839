-- failures.lua -- busted's output for mutants.lua: the names of what failed.

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function failed(element, parent)
    print("FAILED " .. handler.getFullName(element, parent))
    return nil, true
  end
  for _, kind in ipairs { "failure", "error" } do
    for _, where in ipairs { "it", "describe", "file" } do
      busted.subscribe({ kind, where }, failed)
    end
  end
  busted.subscribe({ "suite", "end" }, function()
    print "\nfinished"
    return nil, true
  end)
  return handler
end
