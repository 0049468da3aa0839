-- same.lua -- compares the numbers that two runs of train.lua printed: same.lua A B TOLERANCE.

local function numbers(path)
  local list = {}
  for line in io.lines(path) do
    if line:find "^%-?0x%S+$" then list[#list + 1] = tonumber(line) end
  end
  return list
end

local a, b, most = numbers(arg[1]), numbers(arg[2]), 0
for i = 1, #a do
  local difference = math.abs(a[i] - (b[i] or math.huge)) / (1 + math.abs(a[i]))
  if difference > most or difference ~= difference then most = difference end
end
local good = #a > 400 and #a == #b and most <= tonumber(arg[3])
print(("%d and %d numbers, largest difference %.2g: %s"):format(#a, #b, most,
  good and "the same" or "not the same"))
os.exit(good)
