-- words.lua -- what is said about the functions of C that are no rows: name = { words,
-- args = parameters }.  "Tensor.name" is a method.

local shape = "(shape ... [, dtype])"

return {
  tensor = { "A tensor of a number, a list or nested lists; dtype \"f32\" unless given, or f64, i64, u8.\n" ..
    "`mare.tensor({ {1, 2}, {3, 4} }, \"i64\"):sum():item() --> 10`", args = "(values [, dtype])" },
  empty = { "A tensor whose values are not set.", args = shape },
  zeros = { "Zeros; the shape as numbers or one table.\n`mare.zeros(2, 3):numel() --> 6`", args = shape },
  ones = { "Ones; the shape as numbers or one table.\n`mare.ones{2, 3}:sum():item() --> 6.0`", args = shape },
  full = { "One value everywhere.\n`mare.full({2, 2}, 7):sum():item() --> 28.0`",
    args = "({shape}, value [, dtype])" },
  eye = { "Ones on the diagonal of an n x m matrix (m = n), zeros elsewhere.\n" ..
    "`mare.eye(3):sum():item() --> 3.0`", args = "(n [, m] [, dtype])" },
  arange = { "first, first + step, ... up to last, which is included, as in Lua's for.\n" ..
    "`mare.arange(1, 5):numel() --> 5`", args = "(first, last [, step] [, dtype])" },
  linspace = { "n values from first to last at equal distances.\n" ..
    "`mare.linspace(0, 1, 11)[2]:item() --> 0.1`", args = "(first, last, n [, dtype])" },
  frombytes = { "A tensor of raw bytes, in row-major order and this machine's byte order.\n" ..
    "`mare.frombytes(\"ab\", \"u8\", {2})[1]:item() --> 97`", args = "(bytes, dtype, {shape})" },
  rand = { "Uniform between 0 and 1.", args = shape },
  randn = { "Normal with mean 0 and standard deviation 1.", args = shape },
  randint = { "Whole numbers lo to hi, both included.", args = "(lo, hi, shape ...)" },
  randperm = { "1..n in random order, i64.", args = "(n)" },
  seed = { "Sets the state of the random numbers: what follows is the same each time, with any " ..
    "number of threads.", args = "(n)" },
  rng_state = { "key, counter of the random numbers; given, they are restored.", args = "([key, counter])" },
  is_tensor = { "Is v a tensor?  `mare.is_tensor(3) --> false`", args = "(v)" },
  memory = { "{ live =, peak =, scratch =, cached =, limit = } in bytes: in tensors now and at " ..
    "most, in working memory, in free blocks that are kept, and what the three may be together. " ..
    "Without a limit results of at most 128 bytes lie in Lua's memory and are not counted.",
    args = "()" },
  memory_limit = { "An allocation that would bring tensors and working memory past so many bytes is " ..
    "an error from now on, after a collection; free blocks are given back before. nil: no limit. " ..
    "What LAPACK, BLIS and Lua allocate themselves, and files that are mapped, are not counted.",
    args = "(bytes)" },
  memory_trim = { "Gives cached blocks back to the system.", args = "()" },
  memory_reset_peak = { "Counts the peak of memory anew from here.", args = "()" },
  scope = { "A value whose end frees the tensors that were made meanwhile: " ..
    "`local s <close> = mare.scope()`; s:keep(t) keeps one.", args = "()" },
  clock = { "Wall seconds since some fixed moment.", args = "()" },
  threads = { "The number of threads; given, it is set; 0: the default.", args = "([n])" },
  flatten = { "All dimensions, or those from first to last, as one.\n" ..
    "`mare.ones(2, 3):flatten():numel() --> 6`", args = "(x [, first, last])" },
  narrow = { "A view of n places of a dimension from a first one.\n" ..
    "`mare.arange(1, 5):narrow(1, 2, 2):sum():item() --> 5.0`", args = "(x, dim, first, n)" },
  squeeze = { "A view without dimensions of size 1, or without one of them.", args = "(x [, dim])" },
  unsqueeze = { "A view with a new dimension of size 1.", args = "(x, dim)" },
  t = { "A matrix transposed, as a view.", args = "(x)" },
  reshape = { "The same elements in another shape, as a view where that is possible; one size may be " ..
    "-1.  Another number of elements is an error.\n`mare.arange(1, 6):reshape(2, -1).shape[2] --> 3`",
    args = "(x, shape ...)" },
  nonzero = { "Positions of what is not zero: i64 (count, dimensions).", args = "(x)" },
  onehot = { "Labels 1..classes as rows of zeros with a one.", args = "(labels, classes [, dtype])" },
  help = { "Prints what is documented about a name; mare.help.text gives it as a string, " ..
    "mare.help.search(word) looks through everything.", args = "(name)" },
  inspect = { "What goes into every layer of a model and what comes back to it, as a table." },
  ["nn.Module"] = { "The class of all layers: nn.Module:extend(name, { init =, forward = }) makes one; " ..
    "see mare.nn.  print(model) shows its layers, model:summary(x) their outputs' shapes for an input too." },
  ["Tensor.backward"] = { "Derivatives of this scalar with respect to every leaf that requires them, added " ..
    "to its grad.  Options: retain, create_graph, gradient.\n", args = "([options])" },
  ["Tensor.on_gradient"] = { "Calls f(x) whenever backward has added to the grad of x, a leaf; tensors " ..
    "further up may still wait for theirs.  Returns a function that takes f off again.\n" ..
    "`w:on_gradient(function() print(w.grad:norm():item()) end)`", args = "(f)" },
  ["Tensor.bernoulli_"] = { "Ones (or value) with probability p, zeros otherwise, in place.",
    args = "(p [, value])" },
  ["Tensor.uniform_"] = { "Uniform numbers between lo and hi (0, 1), in place.", args = "([lo, hi])" },
  ["Tensor.normal_"] = { "Normal numbers, in place.", args = "([mean, std])" },
  ["Tensor.close"] = { "Gives its memory back now; it is not to be used any more.", args = "()" },
  ["Tensor.copy_"] = { "Takes the values of another tensor, broadcast and converted.", args = "(x)" },
  ["Tensor.fill_"] = { "One value everywhere, in place.", args = "(v)" },
  ["Tensor.zero_"] = { "Zeros everywhere, in place.", args = "()" },
  ["Tensor.zero_grad"] = { "Forgets its gradient.", args = "()" },
  ["Tensor.detach"] = { "The same values without the tape.", args = "()" },
  ["Tensor.requires_grad"] = { "Makes it a leaf for which backward computes a gradient; returns it.",
    args = "([flag])" },
  ["Tensor.dim"] = { "The number of dimensions.  `mare.ones(2, 3):dim() --> 2`", args = "()" },
  ["Tensor.size"] = { "The size of a dimension.  `mare.ones(2, 3):size(-1) --> 3`", args = "(dim)" },
  ["Tensor.numel"] = { "The number of elements.  `mare.ones(2, 3):numel() --> 6`", args = "()" },
  ["Tensor.stride"] = { "How many elements lie between neighbours of a dimension.", args = "(dim)" },
  ["Tensor.item"] = { "The only element, as a number.  `mare.tensor(2.5):item() --> 2.5`", args = "()" },
  ["Tensor.totable"] = { "Nested lists of its values.  `#mare.ones(2, 3):totable() --> 2`", args = "()" },
  ["Tensor.tobytes"] = { "Its elements as raw bytes, in row-major order.", args = "()" },
  ["Tensor.is_leaf"] = { "Was it made, not computed from tensors that require gradients?", args = "()" },
  ["Tensor.isclosed"] = { "Has its memory been given back?", args = "()" },
  ["Tensor.iscontiguous"] = { "Do its elements lie in order without gaps?", args = "()" },
  ["Tensor.isview"] = { "Does it share the memory of another tensor?", args = "()" },
  ["Tensor.index_add_"] = { "Adds slices at positions of a dimension, in place.", args = "(dim, index, src)" },
  ["Tensor.index_copy_"] = { "Puts slices at positions of a dimension, in place.", args = "(dim, index, src)" },
  ["Tensor.scatter_"] = { "Puts values at positions along a dimension, in place.", args = "(dim, index, src)" },
  ["Tensor.scatter_add_"] = { "Adds values at positions along a dimension, in place.",
    args = "(dim, index, src)" },
  ["Tensor.masked_fill_"] = { "A number where a mask marks, in place.", args = "(mask, v)" },
  ["Tensor.masked_scatter_"] = { "Values in order where a mask marks, in place.", args = "(mask, src)" },
}
