--- Linear algebra: factorisations, and what is solved and measured with them.
-- Matrices are the last two dimensions of a tensor of f32 or f64, those before them are
-- a batch; the batches of two operands broadcast.  Every function has gradients of any
-- order and forward mode, except where its comment says otherwise.  A matrix that holds
-- NaN or infinity, or that has no inverse where one is needed, is an error that says so.
-- The work is LAPACK's (Debian: liblapacke), opened at the first use.
--
--     local la = mare.linalg
--     local a = mare.tensor {{4, 2}, {2, 3}}
--     local l = la.cholesky(a)                         -- a = l l'
--     local x = la.solve(a, mare.tensor {1, 2})        -- a x = (1, 2)
--     local w, v = la.eigh(a)                          -- a v = v diag(w)

local core = require "mare.core"
local registry = require "mare.ops"
local check = require "mare.check"

local M = {}

local f, ops = core.functions, registry.ops
local matmul, where = ops.matmul, ops.where

local rows = {}     -- name -> row

-- a row that is called mare.linalg.name, and its function
local function define(row)
  row.internal = true
  registry.define(row)
  rows[row.name] = row
  return row.call
end

-- -- small pieces -----------------------------------------------------------------------

local function tracked(x) return f.is_tensor(x) and not f.isclosed(x) and x.is_tracked end

local function T(x) return x:transpose(-1, -2) end

local function rows_of(x) return x.shape[#x.shape - 1] end

local function columns_of(x) return x.shape[#x.shape] end

local function symmetric(x) return (x + T(x)) / 2 end

-- 1 on and below diagonal number k, in the type of x
local function lower(x, k)
  local i = f.arange(1, columns_of(x), "i64")
  return (i:unsqueeze(2) + k):ge(i):to(x.dtype)
end

local function diagonal(v) return v:unsqueeze(-1) * f.eye(columns_of(v), v.dtype) end

-- x_ij / (w_j - w_i), and 0 on the diagonal.  Where two are equal nothing but 0 has a
-- quotient: what does not ask for the vectors of these does not notice.
local function over_gaps(x, w)
  local d = w:unsqueeze(-2) - w:unsqueeze(-1)
  x = x * (1 - f.eye(columns_of(x), x.dtype))
  local nothing = d:eq(0):logical_and(x:eq(0))
  return where(nothing, 0, x / where(nothing, 1, d))
end

-- a vector as a column, and back
local function column(x, vector) return vector and x:unsqueeze(-1) or x end

-- several results as one, which the tape can hold: (.., n), with matrices flattened
local function pack(parts, vectors)
  for i, p in ipairs(parts) do
    if not vectors[i] then
      local shape = p.shape
      local n = table.remove(shape)
      shape[#shape] = shape[#shape] * n
      parts[i] = p:reshape(shape)
    end
  end
  return ops.cat(parts, #parts[1].shape)
end

-- one of the results again: the m times n (or, without m, n) numbers from `first` on
local function unpack_part(packed, first, m, n)
  local part = packed:narrow(-1, first, (m or 1) * n)
  if not m then return part end
  local shape = part.shape
  shape[#shape] = m
  shape[#shape + 1] = n
  return part:reshape(shape)
end

-- what the specs draw: matrices far from those without a derivative
local function shifted(x, k) return x + f.eye(columns_of(x), x.dtype) * k end

local function positive(x) return shifted(matmul(x, T(x)), 2) end

local function spread(x)      -- different singular values
  local n = columns_of(x)
  return x + f.eye(rows_of(x), n, x.dtype) * f.arange(1, n, x.dtype) * 3
end

-- -- triangular systems -----------------------------------------------------------------

--- linalg.solve_triangular(a, b [, upper]): x with a x = b.  a (.., n, n) is lower
-- triangular (or upper); its other triangle is not read.  b is (.., n, k) or (n).  A 0
-- on the diagonal is an error; NaN is not.
--     mare.linalg.solve_triangular(mare.tensor {{2, 0}, {1, 1}}, mare.tensor {2, 3})  --> 1 2
M.solve_triangular = define { name = "solve_triangular",
  doc = "x with a x = b, for a lower (or upper) triangular matrix a",
  fwd = function(a, b, upper) return f.solve_triangular(a, b, upper) end,
  vjp = function(g, y, a, b, upper)
    local vector = #b.shape == 1
    local gb = M.solve_triangular(T(a), column(g, vector), not upper)
    local mask = lower(a, 0)
    local ga = -matmul(gb, T(column(y, vector))) * (upper and T(mask) or mask)
    return ga, vector and gb:squeeze(-1) or gb
  end,
  cases = {
    function(sample) return shifted(sample(3, 3), 4), sample(3, 2) end,
    function(sample) return shifted(sample(2, 3, 3), 4), sample(3), true end,
    function(sample) return shifted(sample(2, 2), 4), sample(3, 2, 1) end,
  } }

--- linalg.cholesky(a): the lower triangular l (.., n, n) with a = l l', for a symmetric
-- positive definite matrix, of which the lower triangle is read; one that is not positive
-- definite is an error.  The gradient is that to a symmetric matrix.
--     mare.linalg.cholesky(mare.tensor {{4, 2}, {2, 5}})      --> {{2, 0}, {1, 2}}
M.cholesky = define { name = "cholesky",
  doc = "the lower triangular l with a = l l'",
  fwd = function(a) return f.cholesky(a) end,
  vjp = function(g, l)      -- I. Murray, Differentiation of the Cholesky decomposition, 2016
    local p = matmul(T(l), g) * (lower(l, 0) + lower(l, -1)) / 2
    local left = M.solve_triangular(T(l), p, true)
    return symmetric(M.solve_triangular(T(l), T(left), true))
  end,
  cases = {
    function(sample) return positive(sample(3, 3)) end,
    function(sample) return positive(sample(2, 2, 2)) end,
  } }

-- -- linear systems ---------------------------------------------------------------------

--- linalg.solve(a, b): x with a x = b, for square a (.., n, n) and b (.., n, k) or (n).
-- A singular a is an error that names the pivot, and the matrix of a batch.
--     mare.linalg.solve(mare.tensor {{2, 0}, {0, 4}}, mare.tensor {1, 2})     --> 0.5 0.5
M.solve = define { name = "solve", doc = "x with a x = b, for a square matrix a",
  fwd = function(a, b) return f.solve(a, b) end,
  vjp = function(g, y, a, b)
    local vector = #b.shape == 1
    local gb = M.solve(T(a), column(g, vector))
    local ga = -matmul(gb, T(column(y, vector)))
    return ga, vector and gb:squeeze(-1) or gb
  end,
  cases = {
    function(sample) return shifted(sample(3, 3), 4), sample(3, 2) end,
    function(sample) return shifted(sample(2, 3, 3), 4), sample(3) end,
    function(sample) return shifted(sample(2, 2), 4), sample(3, 2, 1) end,
  } }

--- linalg.inv(a): the inverse of a (.., n, n).  To apply it to something, solve is
-- better.  A singular matrix is an error.
--     mare.linalg.inv(mare.tensor {{2, 0}, {0, 4}})           --> {{0.5, 0}, {0, 0.25}}
M.inv = define { name = "inv", doc = "the inverse of a square matrix",
  fwd = function(a) return f.inv(a) end,
  vjp = function(g, y) return -matmul(T(y), matmul(g, T(y))) end,
  cases = {function(sample) return shifted(sample(3, 3), 4) end,
           function(sample) return shifted(sample(2, 2, 2), 4) end} }

-- the derivatives of a determinant to the elements, where the matrix may have no inverse
local function cofactors(a)
  local u, s, vh = M.svd(a)
  local n = columns_of(a)
  local others = where(f.eye(n):ne(0), 1, s:unsqueeze(-2)):prod({-1})
  local turn = M.det(u) * M.det(vh)
  return matmul(u * (others * turn:unsqueeze(-1)):unsqueeze(-2), vh)
end

--- linalg.det(a): the determinant (..) of a (.., n, n), with a gradient for singular
-- matrices too.
--     mare.linalg.det(mare.tensor {{4, 1}, {1, 3}}):item()    --> 11.0
M.det = define { name = "det", doc = "the determinant of a square matrix",
  fwd = function(a)
    local det = f.det
    local y = det(a)
    return y:squeeze(-1)
  end,
  vjp = function(g, y, a)
    local column_g = g:unsqueeze(-1):unsqueeze(-1)
    if y:eq(0):any():item() ~= 0 then return column_g * cofactors(a) end
    return column_g * y:unsqueeze(-1):unsqueeze(-1) * T(M.inv(a))
  end,
  cases = {function(sample) return sample(3, 3) end,
           function(sample) return shifted(sample(2, 2, 2), 1) end,
           function(sample)      -- without an inverse
             local x = sample(3, 2)
             return matmul(x, f.eye(2, 3, x.dtype))
           end} }

define { name = "slogdet", doc = "sign and logarithm of the size of the determinant",
  fwd = function(a) return f.slogdet(a) end,
  vjp = function(g, _, a)
    return g:narrow(-1, 2, 1):unsqueeze(-1) * T(M.inv(a))
  end,
  cases = {function(sample) return shifted(sample(3, 3), 4) end,
           function(sample) return shifted(sample(2, 2, 2), -4) end} }

--- linalg.slogdet(a) -> sign, log |det a|, both (..), for a (.., n, n): what neither
-- overflows nor vanishes where det does.  Of a singular matrix 0 and -infinity; there it
-- has no gradient, and the sign never has one.
--     local sign, log = mare.linalg.slogdet(mare.eye(500) * 10)       --> 1, 1151.29
function M.slogdet(a)
  local y = rows.slogdet.call(a)
  return y:select(-1, 1):detach(), y:select(-1, 2)
end

-- -- eigenvalues ------------------------------------------------------------------------

define { name = "eigh", doc = "eigenvalues and eigenvectors of a symmetric matrix",
  fwd = function(a)
    local w, v = f.eigh(a)
    return pack({w, v}, {true})
  end,
  vjp = function(g, y, a)
    local n = columns_of(a)
    local w, v = unpack_part(y, 1, nil, n), unpack_part(y, n + 1, n, n)
    local gw, gv = unpack_part(g, 1, nil, n), unpack_part(g, n + 1, n, n)
    local middle = diagonal(gw) + over_gaps(matmul(T(v), gv), w)
    return symmetric(matmul(v, matmul(middle, T(v))))
  end,
  cases = {function(sample) return spread(symmetric(sample(3, 3))) end,
           function(sample) return spread(symmetric(sample(2, 2, 2))) end} }

--- linalg.eigh(a) -> w, v: the eigenvalues (.., n) of a symmetric matrix in ascending
-- order, and its eigenvectors, the columns of v (.., n, n): a v = v diag(w).  The lower
-- triangle is read; the largest element of each eigenvector is positive.  v has a
-- derivative where the eigenvalues are different; elsewhere it is not finite.
function M.eigh(a)
  if not tracked(a) then return f.eigh(a) end
  local y, n = rows.eigh.call(a), columns_of(a)
  return unpack_part(y, 1, nil, n), unpack_part(y, n + 1, n, n)
end

--- linalg.eigvalsh(a): the eigenvalues (.., n) of a symmetric matrix (.., n, n), ascending;
-- the lower triangle is read.
M.eigvalsh = define { name = "eigvalsh", doc = "eigenvalues of a symmetric matrix",
  fwd = function(a) return f.eigvalsh(a) end,
  vjp = function(g, _, a)
    local _, v = M.eigh(a)
    return matmul(v * g:unsqueeze(-2), T(v))
  end,
  cases = {function(sample) return spread(symmetric(sample(3, 3))) end} }

-- -- singular values --------------------------------------------------------------------

-- J. Townsend, Differentiating the singular value decomposition, 2016
define { name = "svd", doc = "u, s and v' with a = u diag(s) v'",
  fwd = function(a)
    local u, s, vh = f.svd(a)
    return pack({u, s, vh}, {false, true})
  end,
  vjp = function(g, y, a)
    local m, n = rows_of(a), columns_of(a)
    local k = math.min(m, n)
    local function parts(x)
      return unpack_part(x, 1, m, k), unpack_part(x, m * k + 1, nil, k),
        unpack_part(x, m * k + k + 1, k, n)
    end
    local u, s, vh = parts(y)
    local gu, gs, gvh = parts(g)
    local row, col, squares = s:unsqueeze(-2), s:unsqueeze(-1), s * s
    local uu, vv = matmul(T(u), gu), matmul(vh, T(gvh))
    local middle = over_gaps(uu - T(uu), squares) * row + diagonal(gs)
      + over_gaps(vv - T(vv), squares) * col
    local ga = matmul(u, matmul(middle, vh))
    if m > k then ga = ga + matmul((gu - matmul(u, uu)) / row, vh) end
    if n > k then ga = ga + matmul(u / row, gvh - matmul(T(vv), vh)) end
    return ga
  end,
  cases = {function(sample) return spread(sample(3, 2)) end,
           function(sample) return spread(sample(2, 3)) end,
           function(sample) return spread(sample(2, 2, 2)) end} }

--- linalg.svd(a) -> u, s, vh: a (.., m, n) = u diag(s) vh, with u (.., m, k), the
-- singular values s (.., k) in descending order, vh (.., k, n), and k the smaller of m
-- and n.  The largest element of each column of u is positive.  u and vh have
-- derivatives where the singular values are different and, for m ~= n, not 0; elsewhere
-- they are not finite.
function M.svd(a)
  if not tracked(a) then return f.svd(a) end
  local y, m, n = rows.svd.call(a), rows_of(a), columns_of(a)
  local k = math.min(m, n)
  return unpack_part(y, 1, m, k), unpack_part(y, m * k + 1, nil, k),
    unpack_part(y, m * k + k + 1, k, n)
end

--- linalg.svdvals(a): the singular values (.., k) of a (.., m, n), descending; k is the
-- smaller of m and n.
M.svdvals = define { name = "svdvals", doc = "singular values",
  fwd = function(a) return f.svdvals(a) end,
  vjp = function(g, _, a)
    local u, _, vh = M.svd(a)
    return matmul(u * g:unsqueeze(-2), vh)
  end,
  cases = {function(sample) return spread(sample(3, 2)) end} }

-- -- QR ---------------------------------------------------------------------------------

-- for r (k, k): S. Walter and L. Lehmann, Algorithmic differentiation of linear algebra
-- functions, 2010
local function qr_vjp(q, r, gq, gr)
  local m = matmul(r, T(gr)) - matmul(T(gq), q)
  local z = gq + matmul(q, m * lower(m, 0) + T(m * lower(m, -1)))
  return T(M.solve_triangular(r, T(z), true))
end

define { name = "qr", doc = "q and r with a = q r, q'q = 1 and r upper triangular",
  fwd = function(a)
    local q, r = f.qr(a)
    return pack({q, r}, {})
  end,
  vjp = function(g, y, a)
    local m, n = rows_of(a), columns_of(a)
    local k = math.min(m, n)
    local q, r = unpack_part(y, 1, m, k), unpack_part(y, m * k + 1, k, n)
    local gq, gr = unpack_part(g, 1, m, k), unpack_part(g, m * k + 1, k, n)
    if m >= n then return qr_vjp(q, r, gq, gr) end
    local rest = gr:narrow(-1, m + 1, n - m)      -- of the columns q' a that r ends with
    gq = gq + matmul(a:narrow(-1, m + 1, n - m), T(rest))
    local first = qr_vjp(q, r:narrow(-1, 1, m), gq, gr:narrow(-1, 1, m))
    return ops.cat({first, matmul(q, rest)}, #a.shape)
  end,
  cases = {function(sample) return shifted(sample(3, 3), 4) end,
           function(sample) return spread(sample(3, 2)) end,
           function(sample) return spread(sample(2, 2, 4)) end} }

--- linalg.qr(a) -> q, r: a (.., m, n) = q r, with q (.., m, k), q'q = 1, and r (.., k, n)
-- upper triangular; k is the smaller of m and n.  Differentiable where the first k
-- columns are independent.
function M.qr(a)
  if not tracked(a) then return f.qr(a) end
  local y, m, n = rows.qr.call(a), rows_of(a), columns_of(a)
  local k = math.min(m, n)
  return unpack_part(y, 1, m, k), unpack_part(y, m * k + 1, k, n)
end

-- -- least squares ----------------------------------------------------------------------

local epsilon = {f32 = 2.0 ^ -23, f64 = 2.0 ^ -52}

-- a threshold relative to the largest singular value
local function threshold(position, name, rcond, a)
  if rcond == nil then
    return epsilon[a.dtype] and #a.shape > 1 and
      epsilon[a.dtype] * math.max(rows_of(a), columns_of(a)) or 0
  end
  return check.number(position, name, rcond, nil, 0)
end

-- G. Golub and V. Pereyra, The differentiation of pseudo-inverses, 1973
local function pinv_vjp(g, p, a)
  local pt, gt = T(p), T(g)
  local left = gt - matmul(a, matmul(p, gt))
  local right = gt - matmul(matmul(gt, p), a)
  return matmul(left, matmul(p, pt)) + matmul(matmul(pt, p), right)
    - matmul(pt, matmul(g, pt))
end

define { name = "pinv", doc = "the pseudo-inverse of Moore and Penrose",
  fwd = function(a, rcond)
    local pinv = f.svd      -- by this name in errors
    local u, s, vh = pinv(a)
    if s:numel() == 0 then return f.zeros(T(a).shape, a.dtype) end
    local small = s:le(s:max({-1}, true) * rcond)
    local inverse = where(small, 0, 1 / where(small, 1, s))
    return matmul(T(vh) * inverse:unsqueeze(-2), T(u))
  end,
  vjp = function(g, y, a) return pinv_vjp(g, y, a) end,
  cases = {function(sample) return spread(sample(3, 2)), 1e-6 end,
           function(sample) return spread(sample(2, 2, 3)), 1e-6 end,
           function(sample) return shifted(sample(2, 2), 4), 1e-6 end} }

--- linalg.pinv(a [, rcond]): the pseudo-inverse (.., n, m) of a (.., m, n).  Singular
-- values of at most rcond times the largest count as 0; rcond is the larger side times
-- the distance from 1 to the next number.
--     mare.linalg.pinv(mare.tensor {{1}, {1}})                --> {{0.5, 0.5}}
function M.pinv(a, rcond)
  check.tensor(1, "pinv", a)
  return rows.pinv.call(a, threshold(2, "pinv", rcond, a))
end

define { name = "lstsq", doc = "the smallest x that makes the norm of a x - b least",
  fwd = function(a, b, rcond) return (f.lstsq(a, b, rcond)) end,
  vjp = function(g, _, a, b, rcond)
    local vector = #b.shape == 1
    local p = M.pinv(a, rcond)
    local cg, cb = column(g, vector), column(b, vector)
    local gb = matmul(T(p), cg)
    local ga = pinv_vjp(matmul(cg, T(cb)), p, a)
    return ga, vector and gb:squeeze(-1) or gb
  end,
  cases = {
    function(sample) return spread(sample(4, 2)), sample(4, 2), 1e-6 end,
    function(sample) return spread(sample(2, 3)), sample(2), 1e-6 end,
    function(sample) return spread(sample(2, 3, 2)), sample(3, 1), 1e-6 end,
  } }

--- linalg.lstsq(a, b [, rcond]) -> x, rank, s: the x (.., n, k) that makes the norm of
-- a x - b least, for a (.., m, n) and b (.., m, k) or (m); the smallest of them where
-- there are several.  Singular values of a below rcond times the largest count as 0 (see
-- pinv); rank is how many do not, as i64, and s are all of them.  x has gradients where
-- the rank does not change.
--     mare.linalg.lstsq(mare.tensor {{1, 0}, {1, 1}, {1, 2}}, mare.tensor {1, 2, 3})  --> 1 1
function M.lstsq(a, b, rcond)
  check.tensor(1, "lstsq", a)
  rcond = threshold(3, "lstsq", rcond, a)
  local x, s, rank = f.lstsq(a, b, rcond)
  return f.record(x, rows.lstsq.id, a, b, rcond), rank, s
end

-- -- norms and what is made of singular values ------------------------------------------

-- of the last two dimensions
local matrix_norms = {
  fro = function(x) return x:norm(2, {-2, -1}) end,
  nuc = function(x) return M.svdvals(x):sum({-1}) end,
  [2] = function(x) return M.svdvals(x):max({-1}) end,
  [-2] = function(x) return M.svdvals(x):min({-1}) end,
  [1] = function(x) return x:abs():sum({-2}):max({-1}) end,
  [-1] = function(x) return x:abs():sum({-2}):min({-1}) end,
  [math.huge] = function(x) return x:abs():sum({-1}):max({-1}) end,
  [-math.huge] = function(x) return x:abs():sum({-1}):min({-1}) end,
}

local function matrix_norm(x, ord, dims, keepdim)
  local n, order = #x.shape, {}
  local d1 = check.dimension(3, "norm", dims[1], n)
  local d2 = check.dimension(3, "norm", dims[2], n)
  if d1 == d2 then check.argument(3, "norm", "dimension %d is named twice", d1) end
  for d = 1, n do
    if d ~= d1 and d ~= d2 then order[#order + 1] = d end
  end
  order[n - 1], order[n] = d1, d2
  local y = matrix_norms[ord](x:permute(order))
  if not keepdim then return y end
  return y:unsqueeze(math.min(d1, d2)):unsqueeze(math.max(d1, d2))
end

local function unknown_norm(name, ord)
  check.argument(2, name, "unknown norm of matrices: %s; known: fro, nuc, 1, -1, 2, -2,"
    .. " math.huge, -math.huge", check.text(ord))
end

-- what is measured: a vector's or a matrix's norm, and along which dimensions
local function kind_of_norm(x, ord, dims)
  local n = #x.shape
  if dims == nil and ord == nil then return "vector" end
  if dims == nil and n ~= 1 and n ~= 2 then
    check.argument(2, "norm", "which dimensions of shape %s? A third argument says it",
      check.shape(x))
  end
  dims = dims or (n == 1 and {1} or {1, 2})
  if type(dims) == "number" then dims = {dims} end
  if type(dims) ~= "table" or #dims < 1 or #dims > 2 and ord ~= nil then
    check.argument(3, "norm", "one dimension for vectors or two for matrices expected")
  end
  return #dims == 2 and ord ~= nil and "matrix" or "vector", dims
end

--- linalg.norm(x [, ord [, dims [, keepdim]]]): a norm of vectors or matrices.
-- Without ord the root of the sum of squares, over dims or over everything.  With ord,
-- a 1-d x or one dimension in dims: the p-norm of vectors (any number; math.huge: the
-- largest size); a 2-d x or two dimensions: of matrices "fro", "nuc" (the sum of the
-- singular values), 2 and -2 (the largest, the smallest), 1 and -1 (of the sums over
-- columns), math.huge and -math.huge (over rows).
--     mare.linalg.norm(mare.tensor {{3, 0}, {0, 4}}, "nuc"):item()            --> 7.0
function M.norm(x, ord, dims, keepdim)
  check.tensor(1, "norm", x)
  local kind, along = kind_of_norm(x, ord, dims)
  if kind == "matrix" then
    if matrix_norms[ord] == nil then unknown_norm("norm", ord) end
    return matrix_norm(x, ord, along, keepdim)
  end
  if ord ~= nil and type(ord) ~= "number" then
    check.argument(2, "norm", "number expected for vectors, got %s", check.text(ord))
  end
  if ord == -math.huge then return x:abs():min(along, keepdim) end
  return x:norm(ord or 2, along, keepdim)
end

--- linalg.cond(a [, p]): the condition number, the norm of a (see norm; 2) times that of
-- its inverse; infinity for a singular matrix where p is 2.  For 2 a may be of any shape.
function M.cond(a, p)
  check.tensor(1, "cond", a)
  if p ~= nil and matrix_norms[p] == nil then unknown_norm("cond", p) end
  if p == nil or p == 2 then
    local s = check.within(1, "cond", M.svdvals, a)
    return s:max({-1}) / s:min({-1})
  end
  local inverse = check.within(1, "cond", M.inv, a)
  return M.norm(a, p, {-2, -1}) * M.norm(inverse, p, {-2, -1})
end

--- linalg.matrix_rank(a [, rcond]): how many singular values exceed rcond (see pinv)
-- times the largest, as i64.  It has no gradient.
function M.matrix_rank(a, rcond)
  check.tensor(1, "matrix_rank", a)
  rcond = threshold(2, "matrix_rank", rcond, a)
  local matrix_rank = f.svdvals      -- by this name in errors
  local s = matrix_rank(a)
  if columns_of(s) == 0 then return s:sum({-1}):to "i64" end
  return s:gt(s:max({-1}, true) * rcond):to("i64"):sum({-1})
end

return M
