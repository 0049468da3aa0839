-- 02-tensors.lua -- numbers in boxes: what a tensor is and what is done with it.
-- ids: T1 T2 T3 T4 T5
-- takes: 1 s
-- expect: 5 5
-- expect: 258 258
--
-- What is asked.  Data come as numbers, lists, tables, pictures, films.  All are tensors: a
-- block of numbers of one type with a shape.  What can be said about a whole tensor is said
-- in one line, and runs in C.
--
-- What is seen.  A row taken from a tensor changes with it, a million numbers change without
-- new memory, and what is said about a whole tensor runs in C.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local args = lesson.options("02-tensors.lua", "Tensors from 0 to 5 dimensions.",
  { side = { 1000, "rows and columns of the matrix that is changed in place" } })
mare.seed(args.seed)

lesson.title "from a number to a film"
local scalar = mare.tensor(3.5)
local series = mare.tensor { 4.8, 4.9, 7.5, 3.4 }
local sheet = mare.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
local image = mare.zeros({ 32, 32, 3 }, "u8")
local album = mare.zeros({ 10, 32, 32, 3 }, "u8")
local films = mare.zeros({ 2, 16, 32, 32, 3 }, "u8")
for _, entry in ipairs { { "a number", scalar }, { "a series", series }, { "a sheet", sheet },
  { "an image", image }, { "an album", album },
  { "films: film, time, width, height, channel", films } } do
  local name, t = table.unpack(entry)
  print(("%-42s %d-d, shape %s, %s, %d numbers"):format(name, t:dim(),
    t:dim() == 0 and "none" or table.concat(t.shape, "x"), t.dtype, t:numel()))
end

lesson.title "one operation for all elements, and broadcasting"
print(sheet * 10 + 1)
print("a column and a row make a table:")
print(mare.tensor { { 1 }, { 2 }, { 3 } } + mare.tensor { 10, 20 })

lesson.title "parts are views: they share memory"
print(sheet["1:2, 2:3"])
local row = sheet[1]
local rows = image["1:2, :"]
rows:fill_(7)
print(("two rows of the image are %s; after they were filled with 7 its first number is %d")
  :format(table.concat(rows.shape, "x"), image[{ 1, 1, 1 }]:item()))
sheet[{ {}, 2 }] = 0
print("after sheet[{ {}, 2 }] = 0 the first row, taken before, is:")
print(row)
sheet[sheet:gt(4)] = -1
print(sheet)

lesson.title "in place, without new memory"
local big = mare.ones(args.side, args.side)
local before = mare.memory().live
big:mul_(2):add_(1):sqrt_()
print(("%d numbers changed; bytes allocated for it: %d; each is now %.4f"):format(big:numel(),
  mare.memory().live - before, big[{ 1, 1 }]:item()))

lesson.title "sums, norms, products"
local v = mare.tensor { 3, -4 }
print(("L1 norm %g, L2 norm %g"):format(v:norm(1):item(), v:norm(2):item()))
local a, b = mare.randn(4, 3), mare.randn(3, 2)
print(("(4x3) times (3x2) is %s; the transpose %s"):format(table.concat(a:matmul(b).shape, "x"),
  table.concat(a:matmul(b):t().shape, "x")))
print "means of the columns:"
print(a:mean(1))
print "standard deviations of the rows:"
print(a:std(2))

lesson.title "the derivative of a vector to a vector is a matrix"
-- y_i = sum_j m_ij x_j^2 has the Jacobian 2 m_ij x_j: one row for each y, a column for each x.
local m = mare.tensor({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, "f64")
local jacobian = mare.jacobian(function(x) return m:matmul(x:square()) end,
  mare.tensor({ 1, 10 }, "f64"))
print(jacobian)

lesson.picture(mare.plot.heatmap(mare.randn(12, 24), { title = "a matrix is a picture too",
  xlabel = "column", ylabel = "row" }),
  "02-tensors")
lesson.key("L2 norm of (3, -4)", v:norm(2):item())
lesson.key("sum of the Jacobian's entries", jacobian:sum():item())
