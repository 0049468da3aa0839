-- train.lua FOLDER -- learns from messages.txt which lines are spam: naive Bayes over counts
-- of words.  Leaves FOLDER/classify.safetensors and FOLDER/classify.words.

local mare = require "mare"
local words = require "words"

local folder = arg[1]
local here = arg[0]:match "^(.*)/"

local texts, labels = {}, {}
for line in io.lines(here .. "/messages.txt") do
  local kind, text = line:match "^(%a+)%s+(.*)$"
  texts[#texts + 1], labels[#labels + 1] = text, kind == "spam" and 2 or 1
end

local vocabulary, n = {}, 0
local file = assert(io.open(folder .. "/classify.words", "w"))
for _, text in ipairs(texts) do
  words.each(text, function(word)
    if vocabulary[word] then return end
    n = n + 1
    vocabulary[word] = n
    file:write(word, "\n")
  end)
end
assert(file:close())

local x = words.counts(texts, vocabulary, n)
local model = mare.models.NaiveBayes { kind = "multinomial" }:fit(x, labels)
assert(model:save(folder .. "/classify.safetensors"))
print(("naive Bayes over %d words of %d messages: %.2f of them right"):format(n, #texts,
  model:score(x, labels)))
