-- names.lua -- what kind of device has a name: naive Bayes over pairs of letters.

local mare = require "mare"

local KINDS = { "printer", "phone", "laptop" }
local EXAMPLES = {
  { "printer-7", "hp-laserjet", "office-printer", "laserjet-2", "brother-print", "canon-printer" },
  { "anas-iphone", "galaxy-s9", "pixel-4", "phone-of-bia", "android-1234", "iphone-2" },
  { "thinkpad-x1", "bias-macbook", "laptop-3", "dell-latitude", "macbook-air", "work-laptop" },
}
local COLUMNS = 256

-- How often each pair of letters stands in a name; pairs share columns.
local function counts(name)
  local row = {}
  for k = 1, COLUMNS do row[k] = 0 end
  for k = 1, #name - 1 do
    local a, b = name:byte(k, k + 1)
    local column = (31 * a + b) % COLUMNS + 1
    row[column] = row[column] + 1
  end
  return row
end

local rows, labels = {}, {}
for kind, names in ipairs(EXAMPLES) do
  for _, name in ipairs(names) do
    rows[#rows + 1], labels[#labels + 1] = counts(name), kind
  end
end
local model = mare.models.NaiveBayes { kind = "multinomial" }:fit(mare.tensor(rows), labels)

--- The kind of device that a name is likely to be of.
return function(name)
  local _ <close> = mare.scope()
  return KINDS[model:predict(mare.tensor { counts(name) }):item()]
end
