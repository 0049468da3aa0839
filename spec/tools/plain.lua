-- plain.lua -- busted's plain output, ended by one line: "N passed, N failed".

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.plainTerminal"(options)
  local shown = handler.subscribe

  local function last_line()
    io.write(("\n%d passed, %d failed\n"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount))
    io.flush()
    return nil, true
  end

  function handler.subscribe(self, opts)
    local result = shown(self, opts)
    busted.subscribe({ "suite", "end" }, last_line)
    return result
  end
  return handler
end
