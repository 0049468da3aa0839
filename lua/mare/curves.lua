-- curves.lua -- metrics that follow a threshold, a rank or a bin: ROC, precision and recall,
-- calibration, ranking quality.  They are fields of mare.metrics.

local mare = require "mare"
local check = require "mare.check"
local of_two_classes = require "mare.truth".scored

local M = {}

-- Scores (n) as f64 and truths (n) as f64 of 0 and 1.
local function scored(name, scores, target)
  local s, positive = of_two_classes(name, scores, target)
  return s, positive:to "f64"
end

-- For each distinct score, from the highest: the score, and how many positive and negative ones
-- are at it or above.  f64 tensors of one length.
local function tallies(s, truth)
  local order
  s, order = s:sort(1, true)
  truth = truth:index_select(1, order)
  local n = s:size(1)
  local last = mare.ones({ n }, "u8")
  if n > 1 then last:narrow(1, 1, n - 1):copy_(s:narrow(1, 1, n - 1):ne(s:narrow(1, 2, n - 1))) end
  local positive = truth:cumsum(1)
  local all = mare.arange(1, n, "f64")
  return s:masked_select(last), positive:masked_select(last), (all - positive):masked_select(last)
end

local function last(t) return t[-1]:item() end

local function joined(value, t) return mare.cat({ mare.tensor({ value }, "f64"), t }, 1) end

--- The ROC curve of scores (n) against two classes: false positive rates, true positive rates
-- and thresholds, f64 tensors of one length.  Point k counts as positive what scores threshold k
-- or more; the first counts nothing (threshold inf).  A class that does not occur is an error.
-- Fawcett 2006, An introduction to ROC analysis.
-- `local fpr, tpr, thresholds = metrics.roc_curve(m:decision(x), y)`
function M.roc_curve(scores, target)
  local s, truth = scored("roc_curve", scores, target)
  local at, positive, negative = tallies(s, truth)
  if last(positive) == 0 or last(negative) == 0 then
    check.argument(2, "roc_curve", "only one class occurs")
  end
  return joined(0, negative / last(negative)), joined(0, positive / last(positive)),
    joined(math.huge, at)
end

--- Precision and recall against the threshold: precision, recall and thresholds, f64 tensors; a
-- last point has precision 1, recall 0 and no threshold.  Thresholds ascend.
-- `local precision, recall, thresholds = metrics.precision_recall_curve(m:decision(x), y)`
function M.precision_recall_curve(scores, target)
  local s, truth = scored("precision_recall_curve", scores, target)
  local at, positive, negative = tallies(s, truth)
  if last(positive) == 0 then
    check.argument(2, "precision_recall_curve", "no positive one occurs")
  end
  local precision, recall = positive / (positive + negative), positive / last(positive)
  local turned = mare.arange(at:size(1), 1, -1, "i64")
  local function turn(t, final)
    t = t:index_select(1, turned)
    return final and mare.cat({ t, mare.tensor({ final }, "f64") }, 1) or t
  end
  return turn(precision, 1), turn(recall, 0), turn(at)
end

--- The mean of the precisions at each threshold, weighted by the recall gained there.
-- `metrics.average_precision(m:decision(x), y)`
function M.average_precision(scores, target)
  local s, truth = scored("average_precision", scores, target)
  local _, positive, negative = tallies(s, truth)
  local total = last(positive)
  if total == 0 then check.argument(2, "average_precision", "no positive one occurs") end
  local before = joined(0, positive:narrow(1, 1, positive:size(1) - 1))
  return ((positive - before) / total * positive / (positive + negative)):sum():item()
end

--- How far probabilities can be believed: for each of `bins` (10) equal intervals of 0..1 that
-- has any, the share of positive ones, the mean probability and the count; three f64 tensors.
-- `local share, predicted, count = metrics.calibration_curve(p, y, 10)`
function M.calibration_curve(probability, target, bins)
  local p, truth = scored("calibration_curve", probability, target)
  bins = check.count(3, "calibration_curve", bins or 10)
  if p:min():item() < 0 or p:max():item() > 1 then
    check.argument(1, "calibration_curve", "probabilities between 0 and 1 expected")
  end
  local place = (p * bins):floor():clamp(0, bins - 1):to "i64" + 1
  local function total(t) return mare.zeros({ bins }, "f64"):index_add(1, place, t) end
  local count = total(mare.ones({ p:size(1) }, "f64"))
  local some = count:gt(0)
  local n = count:masked_select(some)
  return total(truth):masked_select(some) / n, total(p):masked_select(some) / n, n
end

--- The mean squared distance of probabilities (n) of the second class from what happened (0 or
-- 1; labels as for roc_auc).
-- Formula: sum (p - o)^2 / n
-- `metrics.brier(mare.tensor { 0.5, 1 }, mare.tensor({ 1, 2 }, "i64")) --> 0.125`
-- Brier 1950, Verification of forecasts expressed in terms of probability.
function M.brier(probability, target)
  local p, truth = scored("brier", probability, target)
  return (p - truth):square():mean():item()
end

-- Relevances r (n, items) in the order of falling scores s; those of equal scores are their mean.
local function even(r, s)
  local sorted, order = s:sort(2, true)
  local n, items = s:size(1), s:size(2)
  local group = mare.ones({ n, items }, "i64") -- of equal scores, numbered along a row
  if items > 1 then
    local changes = sorted:narrow(2, 2, items - 1):ne(sorted:narrow(2, 1, items - 1))
    group:narrow(2, 2, items - 1):add_(changes:to("i64"):cumsum(2))
  end
  local zero = mare.zeros({ n, items }, "f64")
  local sums = zero:scatter_add(2, group, r:gather(2, order))
  return sums:gather(2, group) / zero:scatter_add(2, group, zero + 1):gather(2, group)
end

--- Normalised discounted cumulative gain of rankings: scores and relevances (n, items), higher
-- is better; the mean over rows of sum rel/log2(1 + place) over the best k (all) by score, divided
-- by the largest that is possible.  Items of equal scores share their places.  Rows without
-- relevant items count as 0.  (items) is one row.
-- Jaervelin and Kekaelaeinen 2002, Cumulated gain-based evaluation of IR techniques; McSherry and
-- Najork 2008, Computing information retrieval performance measures efficiently in the presence
-- of tied scores.
-- `metrics.ndcg(scores, relevance, 10)`
function M.ndcg(scores, relevance, k)
  local s = check.tensor(1, "ndcg", scores):detach():to "f64"
  local r = check.tensor(2, "ndcg", relevance):detach():to "f64"
  if s:dim() == 1 then s, r = s:unsqueeze(1), r:dim() == 1 and r:unsqueeze(1) or r end
  if s:dim() ~= 2 or check.shape(s) ~= check.shape(r) or s:numel() == 0 then
    check.argument(2, "ndcg", "scores and relevances (n, items) of one shape expected, " ..
      "got %s and %s", check.shape(s), check.shape(r))
  elseif s:ne(s):any():item() == 1 then
    check.argument(1, "ndcg", "a score is nan")
  elseif not (r:min():item() >= 0 and r:max():item() < math.huge) then
    check.argument(2, "ndcg", "relevances are finite and not negative")
  end
  local items = s:size(2)
  k = math.min(check.count(3, "ndcg", k or items), items)
  local discount = 1 / (mare.arange(1, k, "f64") + 1):log2()
  local function gain(by)
    return (even(r, by):narrow(2, 1, k) * discount):sum(2)
  end
  local best = gain(r)
  return mare.where(best:gt(0), gain(s) / best:clamp(1e-300, math.huge), best * 0):mean():item()
end

return M
