#include "mlc/torch/capture_shapes.h"

#include "mlc/torch/capture_shape_rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace mlc::torch_module {
namespace {

/// SCALE as TOP / BOTTOM, where it is one with a small power of two below.
std::optional<std::pair<int64_t, int64_t>> fraction(double scale) {
  for (int64_t bottom = 1; bottom <= 1024; bottom *= 2) {
    const double top = scale * static_cast<double>(bottom);
    if (top == std::floor(top) && std::abs(top) < 1e9) {
      return std::pair(static_cast<int64_t>(top), bottom);
    }
  }
  return std::nullopt;
}

/// SIZE by SCALE, cut off to an integer, as PyTorch has it in doubles.
Expr scaled(ir::Symbols& symbols, Expr size, double scale) {
  if (const auto parts = fraction(scale)) {
    const Expr top = symbols.multiply(size, symbols.constant(parts->first));
    return symbols.floor_divide(top, symbols.constant(parts->second));
  }
  const ir::RealSteps steps = {{ir::RealOp::operand, 0, 0},
                               {ir::RealOp::number, scale, 0},
                               {ir::RealOp::multiply, 0, 0},
                               {ir::RealOp::truncate, 0, 0}};
  return symbols.rounded({steps, {size}});
}

ExpectedSizes resized(Shapes& of) {
  auto input = of.tensor("self");
  if (!input) input = of.tensor("input");
  if (!input || input->size() < 3) return {};
  ExpectedSizes out = known(*input);
  const size_t count = input->size() - 2;
  if (const auto given = of.list("output_size"); given && given->size() == count) {
    for (size_t i = 0; i < count; ++i) out[2 + i] = (*given)[i];
    return out;
  }
  const Item* scales = of.item("scale_factors");
  const Items* items = scales == nullptr ? nullptr : scales->items();
  if (items == nullptr || items->size() != count) return {};
  for (size_t i = 0; i < count; ++i) {
    const auto* scale = (*items)[i].as<double>();
    if (scale == nullptr || !std::isfinite(*scale)) return {};
    out[2 + i] = scaled(of.symbols(), (*input)[2 + i], *scale);
  }
  return out;
}

/// Sizes in LIST, where -1 stands for what is left of the elements of the input.
ExpectedSizes viewed(Shapes& of) {
  const auto input = of.tensor("self");
  auto list = of.list("size");
  if (!list) list = of.list("shape");
  if (!input || !list) return {};
  ExpectedSizes out = known(*list);
  std::optional<size_t> rest;
  Exprs others;
  for (size_t i = 0; i < list->size(); ++i) {
    if (of.symbols().constant_value((*list)[i]) == -1) {
      rest = i;
    } else {
      others.push_back((*list)[i]);
    }
  }
  if (rest) {
    out[*rest] = of.symbols().floor_divide(of.product(*input), of.product(others));
  }
  return out;
}

ExpectedSizes flattened(Shapes& of) {
  const auto input = of.tensor("self");
  if (!input || input->empty()) return {};
  const auto from = of.dimension("start_dim", input->size());
  const auto to = of.dimension("end_dim", input->size());
  if (!from || !to || *to < *from) return {};
  const auto first = input->begin();
  const auto begin = first + static_cast<std::ptrdiff_t>(*from);
  const auto end = first + static_cast<std::ptrdiff_t>(*to) + 1;
  ExpectedSizes out(first, begin);
  out.emplace_back(of.product(Exprs(begin, end)));
  out.insert(out.end(), end, input->end());
  return out;
}

ExpectedSizes expanded(Shapes& of) {
  const auto input = of.tensor("self");
  const auto list = of.list("size");
  if (!input || !list || list->size() < input->size()) return {};
  ExpectedSizes out = known(*list);
  const size_t added = list->size() - input->size();
  for (size_t i = added; i < list->size(); ++i) {
    if (of.symbols().constant_value((*list)[i]) == -1) out[i] = (*input)[i - added];
  }
  return out;
}

ExpectedSizes repeated(Shapes& of) {
  const auto input = of.tensor("self");
  auto list = of.list("repeats");
  if (!list) list = of.list("dims");
  if (!input || !list) return {};
  const size_t rank = std::max(input->size(), list->size());
  ExpectedSizes out;
  for (size_t i = 0; i < rank; ++i) {
    const size_t from_input = i + input->size();
    const size_t from_list = i + list->size();
    const Expr one = of.number(1);
    const Expr size = from_input >= rank ? (*input)[from_input - rank] : one;
    const Expr times = from_list >= rank ? (*list)[from_list - rank] : one;
    out.emplace_back(of.symbols().multiply(size, times));
  }
  return out;
}

ExpectedSizes repeated_elements(Shapes& of) {
  const auto input = of.tensor("self");
  const auto times = of.integer("repeats");
  if (!input || !times) return {};
  const auto at = of.dimension("dim", input->size());
  if (!at) return {of.symbols().multiply(of.product(*input), *times)};
  ExpectedSizes out = known(*input);
  out[*at] = of.symbols().multiply((*input)[*at], *times);
  return out;
}

/// Sizes that the argument `size` gives as they are: zeros, new_full, rand, ...
ExpectedSizes given_sizes(Shapes& of) {
  const auto list = of.list("size");
  return list ? known(*list) : ExpectedSizes{};
}

ExpectedSizes ranged(Shapes& of) {
  const auto end = of.integer("end");
  const Expr start = of.integer("start").value_or(of.number(0));
  const Expr step = of.integer("step").value_or(of.number(1));
  if (!end) return {};
  return {of.symbols().ceil_divide(of.symbols().subtract(*end, start), step)};
}

ExpectedSizes padded(Shapes& of) {
  auto input = of.tensor("self");
  if (!input) input = of.tensor("input");
  auto pad = of.list("pad");
  if (!pad) pad = of.list("padding");
  if (!input || !pad || pad->size() % 2 != 0 || pad->size() / 2 > input->size()) return {};
  ExpectedSizes out = known(*input);
  for (size_t i = 0; i < pad->size() / 2; ++i) {
    std::optional<Expr>& size = out[out.size() - 1 - i];
    size = of.symbols().add(*size, of.symbols().add((*pad)[2 * i], (*pad)[2 * i + 1]));
  }
  return out;
}

/// INDEX as slices take it: from the end where it is negative, and within 0..LENGTH.
std::optional<Expr> within(ir::Symbols& symbols, Expr index, Expr length) {
  // Traces say so where a slice goes to the end; bounds have no room for it.
  if (symbols.constant_value(index) == std::numeric_limits<int64_t>::max()) return length;
  const ir::Bounds bounds = symbols.bounds(index);
  if (bounds.high < 0) {
    index = symbols.add(index, length);
  } else if (bounds.low < 0) {
    return std::nullopt;
  }
  return symbols.minimum(symbols.maximum(index, symbols.constant(0)), length);
}

ExpectedSizes sliced(Shapes& of) {
  const auto input = of.tensor("self");
  const auto at = input ? of.dimension("dim", input->size()) : std::nullopt;
  if (!at) return {};
  ir::Symbols& symbols = of.symbols();
  const Expr length = (*input)[*at];
  const auto start = within(symbols, of.integer("start").value_or(of.number(0)), length);
  const auto end = within(symbols, of.integer("end").value_or(length), length);
  const Expr step = of.integer("step").value_or(of.number(1));
  ExpectedSizes out = known(*input);
  out[*at] = std::nullopt;
  if (start && end && symbols.bounds(step).low > 0) {
    const Expr covered = symbols.maximum(symbols.subtract(*end, *start), of.number(0));
    out[*at] = symbols.ceil_divide(covered, step);
  }
  return out;
}

ExpectedSizes narrowed(Shapes& of) {
  const auto input = of.tensor("self");
  const auto at = input ? of.dimension("dim", input->size()) : std::nullopt;
  const auto length = of.integer("length");
  if (!at || !length) return {};
  ExpectedSizes out = known(*input);
  out[*at] = *length;
  return out;
}

ExpectedSizes joined(Shapes& of) {
  const Item* list = of.item("tensors");
  const Items* items = list == nullptr ? nullptr : list->items();
  if (items == nullptr || items->empty()) return {};
  std::optional<Exprs> first;
  std::optional<Expr> sum;
  size_t at = 0;
  for (const Item& one : *items) {
    const TensorItem* tensor = one.tensor();
    if (tensor == nullptr || tensor->value->tensor() == nullptr) return {};
    const auto& sizes = tensor->value->tensor()->sizes;
    if (!sizes) return {};
    // Empty tensors of one dimension take no part.
    if (sizes->size() == 1 && of.symbols().constant_value((*sizes)[0]) == 0) continue;
    if (!first) {
      first = *sizes;
      const auto dimension = of.dimension("dim", sizes->size());
      if (!dimension) return {};
      at = *dimension;
    }
    if (sizes->size() <= at) return {};
    sum = sum ? of.symbols().add(*sum, (*sizes)[at]) : (*sizes)[at];
  }
  if (!first || !sum) return {};
  ExpectedSizes out = known(*first);
  out[at] = *sum;
  return out;
}

/// The part number output() of those with SIZE elements, of which the last is what is left.
ExpectedSizes part_of(Shapes& of, const Exprs& input, size_t at, Expr size) {
  ir::Symbols& symbols = of.symbols();
  const Expr before = symbols.multiply(size, of.number(static_cast<int64_t>(of.output())));
  ExpectedSizes out = known(input);
  out[at] = symbols.minimum(size, symbols.subtract(input[at], before));
  return out;
}

ExpectedSizes split(Shapes& of) {
  const auto input = of.tensor("self");
  const auto at = input ? of.dimension("dim", input->size()) : std::nullopt;
  if (!at) return {};
  if (const auto size = of.integer("split_size")) return part_of(of, *input, *at, *size);
  auto sizes = of.list("split_sizes");
  if (!sizes) sizes = of.list("split_size");
  if (!sizes || of.output() >= sizes->size()) return {};
  ExpectedSizes out = known(*input);
  out[*at] = (*sizes)[of.output()];
  return out;
}

ExpectedSizes chunked(Shapes& of) {
  const auto input = of.tensor("self");
  const auto count = of.constant("chunks");
  if (!input || !count || *count <= 0) return {};
  const auto at = of.dimension("dim", input->size());
  if (!at) return {};
  return part_of(of, *input, *at, of.symbols().ceil_divide((*input)[*at], of.number(*count)));
}

/// As many parts as are asked for, the first ones longer by one where that does not divide; or cut
/// at places, which count from the end where they are below 0.
ExpectedSizes evenly_split(Shapes& of) {
  ir::Symbols& symbols = of.symbols();
  const auto input = of.tensor("self");
  const auto at = input ? of.dimension("dim", input->size()) : std::nullopt;
  if (!at) return {};
  const Expr size = (*input)[*at];
  const auto part = static_cast<int64_t>(of.output());
  ExpectedSizes out = known(*input);
  if (const auto count = of.constant("sections"); count && *count > 0) {
    const Expr rounded = symbols.add(size, of.number(*count - 1 - part));
    out[*at] = symbols.floor_divide(rounded, of.number(*count));
    return out;
  }
  const auto places = of.list("indices");
  if (!places || of.output() > places->size()) return {};
  const auto place = [&](size_t index) -> std::optional<Expr> {
    if (index == places->size()) return size;
    const ir::Bounds bounds = symbols.bounds((*places)[index]);
    if (bounds.low < 0 && bounds.high >= 0) return std::nullopt;
    const Expr begin = (*places)[index];
    const Expr from_front = bounds.low < 0 ? symbols.add(begin, size) : begin;
    return symbols.minimum(symbols.maximum(from_front, of.number(0)), size);
  };
  const auto begin = of.output() == 0 ? of.number(0) : place(of.output() - 1);
  const auto end = place(of.output());
  if (!begin || !end) return {};
  out[*at] = symbols.maximum(symbols.subtract(*end, *begin), of.number(0));
  return out;
}

ExpectedSizes unshuffled(Shapes& of) {
  const auto input = of.tensor("self");
  const auto factor = of.integer("downscale_factor");
  if (!input || input->size() < 3 || !factor || of.symbols().bounds(*factor).low <= 0) return {};
  ExpectedSizes out = known(*input);
  const size_t rank = out.size();
  out[rank - 3] = of.symbols().multiply(*out[rank - 3], of.symbols().multiply(*factor, *factor));
  out[rank - 2] = of.symbols().floor_divide(*out[rank - 2], *factor);
  out[rank - 1] = of.symbols().floor_divide(*out[rank - 1], *factor);
  return out;
}

/// How long the diagonal of ROWS and COLUMNS is that begins OFFSET to the right.
Expr length_of_diagonal(Shapes& of, Expr rows, Expr columns, int64_t offset) {
  ir::Symbols& symbols = of.symbols();
  rows = symbols.add(rows, of.number(std::min<int64_t>(offset, 0)));
  columns = symbols.subtract(columns, of.number(std::max<int64_t>(offset, 0)));
  return symbols.maximum(symbols.minimum(rows, columns), of.number(0));
}

ExpectedSizes diagonal(Shapes& of) {
  const auto input = of.tensor("self");
  const auto offset = of.constant("offset");
  if (!input || !offset) return {};
  const auto one = of.dimension("dim1", input->size());
  const auto two = of.dimension("dim2", input->size());
  if (!one || !two || *one == *two) return {};
  ExpectedSizes out;
  for (size_t i = 0; i < input->size(); ++i) {
    if (i != *one && i != *two) out.emplace_back((*input)[i]);
  }
  out.emplace_back(length_of_diagonal(of, (*input)[*one], (*input)[*two], *offset));
  return out;
}

ExpectedSizes diagonal_of_matrix(Shapes& of) {
  const auto input = of.tensor("self");
  const auto offset = of.constant("diagonal");
  if (!input || !offset || input->size() != 2) return {};
  return {length_of_diagonal(of, (*input)[0], (*input)[1], *offset)};
}

struct Row {
  std::string_view name;
  ExpectedSizes (*sizes)(Shapes&);
};
constexpr Row kRows[] = {
    {"_convolution", convolution},
    {"arange", ranged},
    {"avg_pool1d", pooled<1>},
    {"avg_pool2d", pooled<2>},
    {"avg_pool3d", pooled<3>},
    {"cat", joined},
    {"chunk", chunked},
    {"concat", joined},
    {"constant_pad_nd", padded},
    {"conv1d", convolution},
    {"conv2d", convolution},
    {"conv3d", convolution},
    {"conv_transpose1d", transposed_convolution},
    {"conv_transpose2d", transposed_convolution},
    {"conv_transpose3d", transposed_convolution},
    {"convolution", convolution},
    {"diag", diagonal_of_matrix},
    {"diagonal", diagonal},
    {"empty", given_sizes},
    {"expand", expanded},
    {"flatten", flattened},
    {"full", given_sizes},
    {"im2col", columns},
    {"istft", signal_of_spectra},
    {"max_pool1d", pooled<1>},
    {"max_pool1d_with_indices", pooled<1>},
    {"max_pool2d", pooled<2>},
    {"max_pool2d_with_indices", pooled<2>},
    {"max_pool3d", pooled<3>},
    {"max_pool3d_with_indices", pooled<3>},
    {"narrow", narrowed},
    {"new_empty", given_sizes},
    {"new_full", given_sizes},
    {"new_ones", given_sizes},
    {"new_zeros", given_sizes},
    {"ones", given_sizes},
    {"pad", padded},
    {"pixel_unshuffle", unshuffled},
    {"rand", given_sizes},
    {"randn", given_sizes},
    {"reflection_pad1d", padded},
    {"reflection_pad2d", padded},
    {"reflection_pad3d", padded},
    {"repeat", repeated},
    {"repeat_interleave", repeated_elements},
    {"replication_pad1d", padded},
    {"replication_pad2d", padded},
    {"replication_pad3d", padded},
    {"reshape", viewed},
    {"slice", sliced},
    {"split", split},
    {"split_with_sizes", split},
    {"stft", short_spectra},
    {"tensor_split", evenly_split},
    {"tile", repeated},
    {"unfold", unfolded},
    {"upsample_bicubic2d", resized},
    {"upsample_bilinear2d", resized},
    {"upsample_linear1d", resized},
    {"upsample_nearest1d", resized},
    {"upsample_nearest2d", resized},
    {"upsample_nearest3d", resized},
    {"upsample_trilinear3d", resized},
    {"view", viewed},
    {"zeros", given_sizes},
};

/// Operators of which all results have first sizes that hang on values.
constexpr std::array<std::string_view, 14> kCounting = {"_pack_padded_sequence",
                                                        "argwhere",
                                                        "bincount",
                                                        "combinations",
                                                        "masked_select",
                                                        "nms",
                                                        "nonzero",
                                                        "nonzero_numpy",
                                                        "repeat_interleave",
                                                        "unique_consecutive",
                                                        "unique_dim",
                                                        "_unique",
                                                        "_unique2",
                                                        "where"};

std::string_view bare_name(const torch::jit::Node& node) {
  const std::string_view name = node.kind().toUnqualString();
  return name;
}

bool is_mask(const Item& item) {
  const TensorItem* tensor = item.tensor();
  if (tensor == nullptr || tensor->value->tensor() == nullptr) return false;
  const auto dtype = tensor->value->tensor()->dtype;
  return dtype == DType::boolean || dtype == DType::u8;
}

/// Whether DIM is where index(x, [mask, ...]) puts what it selects: at its first index, or in front
/// where its indices do not follow each other.
bool is_selected(const Items& indices, size_t dim) {
  const auto given = [](const Item& one) { return !one.is_none(); };
  const auto first = std::ranges::find_if(indices, given);
  const auto last = std::find_if(indices.rbegin(), indices.rend(), given).base();
  const bool together = std::all_of(first, last, given);
  return dim == (together ? static_cast<size_t>(first - indices.begin()) : 0);
}

}  // namespace

const Item* argument(const Call& call, std::string_view name) {
  const auto* schema = call.node.maybeSchema();
  if (schema == nullptr) return nullptr;
  const auto& arguments = schema->arguments();
  for (size_t i = 0; i < std::min(arguments.size(), call.inputs.size()); ++i) {
    if (arguments[i].name() == name) return &call.inputs[i];
  }
  return nullptr;
}

ExpectedSizes expected_sizes(Capturer& capturer, const Call& call, size_t output) {
  const auto* schema = call.node.maybeSchema();
  std::string_view name = bare_name(call.node);
  if (name.ends_with('_') && !name.starts_with('_')) return {};
  const auto row = std::ranges::find(kRows, name, &Row::name);
  if (row == std::end(kRows) || schema == nullptr) return {};
  Shapes shapes(capturer, call, output);
  return row->sizes(shapes);
}

bool hangs_on_values(Capturer& capturer, const Call& call, size_t dim) {
  const std::string_view name = bare_name(call.node);
  if (name == "one_hot") {
    // Without a number of classes there are as many as the largest value says.
    const Item* classes = argument(call, "num_classes");
    const auto* number = classes == nullptr ? nullptr : classes->as<Expr>();
    const auto known =
        number == nullptr ? std::nullopt : capturer.symbols().constant_value(*number);
    const TensorItem* self = call.inputs[0].tensor();
    return known && *known < 0 && self != nullptr && dim == capturer.sizes_of(*self).size();
  }
  if (name == "index") {
    const Items* indices = call.inputs.size() < 2 ? nullptr : call.inputs[1].items();
    return indices != nullptr && std::ranges::any_of(*indices, is_mask) &&
           is_selected(*indices, dim);
  }
  if (std::ranges::find(kCounting, name) == kCounting.end()) return false;
  if (name == "where") return call.inputs.size() == 1;
  if (name == "repeat_interleave") {
    const Item* repeats = argument(call, "repeats");
    if (repeats == nullptr || repeats->tensor() == nullptr) return false;
    const Item* at = argument(call, "dim");
    return at == nullptr || at->is_none() || dim == 0;
  }
  return dim == 0;
}

}  // namespace mlc::torch_module
