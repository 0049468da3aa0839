-- words.lua -- what the trainer and the server share: the words of a text, and rows of
-- their counts.  A vocabulary is { word = column }.

local mare = require "mare"

local M = {}

--- Calls f for each word of a text, in small letters; bytes above 127 are letters.
function M.each(text, f)
  for word in text:lower():gmatch "[%a\128-\255]+" do f(word) end
end

--- The counts of a vocabulary's n words in each text: (#texts, n).
function M.counts(texts, vocabulary, n)
  local rows = {}
  for i, text in ipairs(texts) do
    local row = {}
    for column = 1, n do row[column] = 0 end
    M.each(text, function(word)
      local column = vocabulary[word]
      if column then row[column] = row[column] + 1 end
    end)
    rows[i] = row
  end
  return mare.tensor(rows)
end

--- Reads a vocabulary, one word in each line; returns it and the number of its words.
function M.read(path)
  local vocabulary, n = {}, 0
  for word in io.lines(path) do
    n = n + 1
    vocabulary[word] = n
  end
  return vocabulary, n
end

return M
