-- coverage.lua DIR -- lines of the C sources that the specs ran, from gcov's counts.

local dir = arg[1]
local pipe = io.popen(("find %s -name '*.gcda' -exec gcov -n {} + 2>/dev/null"):format(dir))
local lines, ran = 0, 0
local file
local shown = {}
for line in pipe:lines() do
  file = line:match "^File '(src/.-)'$" or (line:find "^File" and "" or file)
  local percent, total = line:match "^Lines executed:(%S+)%% of (%d+)"
  if percent and file and file ~= "" then
    shown[#shown + 1] = ("%6.1f %%  %5d  %s"):format(percent, total, file)
    lines, ran = lines + tonumber(total), ran + percent * total / 100
    file = nil
  end
end
pipe:close()
table.sort(shown)        -- the least covered first
print(table.concat(shown, "\n"))
print(("%.1f %% of %d lines of C"):format(100 * ran / math.max(lines, 1), lines))
