#include "mlc/onnx_prune/fold_indices.h"

#include "mlc/base/checked_math.h"
#include "mlc/onnx_prune/constant_numbers.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

namespace mlc::onnx {
namespace {

std::optional<int64_t> computed(std::string_view op, int64_t a, int64_t b) {
  if (op == "Add") return checked_add(a, b);
  if (op == "Sub" && b != std::numeric_limits<int64_t>::min()) return checked_add(a, -b);
  if (op == "Mul") return checked_mul(a, b);
  if (a < 0 || b <= 0) return std::nullopt;
  if (op == "Div") return a / b;
  if (op == "Mod") return a % b;
  return std::nullopt;
}

std::optional<Numbers> elementwise(std::string_view op, const Numbers& a, const Numbers& b) {
  const bool fits =
      a.values.size() == b.values.size() || a.values.size() == 1 || b.values.size() == 1;
  if (!fits || a.values.empty() || b.values.empty()) return std::nullopt;
  Numbers out;
  out.sizes = a.values.size() > 1 || a.sizes.size() >= b.sizes.size() ? a.sizes : b.sizes;
  if (b.values.size() > a.values.size()) out.sizes = b.sizes;
  for (size_t i = 0; i < std::max(a.values.size(), b.values.size()); ++i) {
    const auto one = computed(op, a.values[a.values.size() == 1 ? 0 : i],
                              b.values[b.values.size() == 1 ? 0 : i]);
    if (!one) return std::nullopt;
    out.values.push_back(*one);
  }
  return out;
}

/// One number, as a scalar or as a list of one.
std::optional<Numbers> reshaped(const DocNode& node, const Numbers& x) {
  if (x.values.size() != 1) return std::nullopt;
  return Numbers{x.values, node.is("Squeeze") ? std::vector<int64_t>() : std::vector<int64_t>{1}};
}

Result<std::optional<Numbers>> folded(const Document& document, const DocNode& node) {
  using Found = std::optional<Numbers>;
  constexpr std::string_view kArithmetic[] = {"Add", "Sub", "Mul", "Div", "Mod"};
  const bool is_arithmetic =
      node.domain.empty() && std::ranges::find(kArithmetic, node.op) != std::end(kArithmetic);
  const bool moves = node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze");
  if (node.outputs.size() != 1 || (!is_arithmetic && !moves)) return Found();
  if (is_arithmetic && node.inputs.size() != 2) return Found();
  MLC_TRY(const Found x, numbers_of(document, node.input(0)));
  if (!x) return Found();
  if (!is_arithmetic) {
    // A list of one to a list of one, or to or from a scalar.
    MLC_TRY(const Found how, numbers_of(document, node.input(1)));
    const bool to_list = node.is("Reshape") ? how && how->values.size() == 1
                                            : node.is("Squeeze") == (x->sizes.size() == 1);
    return to_list ? reshaped(node, *x) : Found();
  }
  MLC_TRY(const Found y, numbers_of(document, node.input(1)));
  return y ? elementwise(node.op, *x, *y) : Found();
}

/// The part [BEGIN, END) of the sizes that NODE, a Slice of a list of RANK numbers, takes.
Result<std::optional<std::pair<int64_t, int64_t>>> sliced(const Document& document,
                                                          const DocNode& node, int64_t rank) {
  using Part = std::optional<std::pair<int64_t, int64_t>>;
  std::array<int64_t, 4> given{0, 0, 0, 1};  // begin, end, axis, step
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string name = node.input(i + 1);
    if (name.empty() && i >= 2) continue;
    MLC_TRY(const std::optional<Numbers> one, numbers_of(document, name));
    if (!one || one->values.size() != 1) return Part();
    given[i] = one->values[0];
  }
  if ((given[2] != 0 && given[2] != -1) || given[3] != 1) return Part();
  const auto within = [rank](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::pair<int64_t, int64_t> out{within(given[0]), within(given[1])};
  return out.first < out.second ? Part(out) : Part();
}

/// The sizes that NODE takes of what SHAPES, nodes by their results, ask for.
Result<std::optional<Numbers>> known_sizes(
    const Document& document, const DocNode& node,
    const std::map<std::string, std::string, std::less<>>& shapes, const InferredSizes& sizes) {
  using Found = std::optional<Numbers>;
  if ((!node.is("Gather") && !node.is("Slice")) || node.outputs.size() != 1) return Found();
  const auto shape = shapes.find(node.input(0));
  if (shape == shapes.end()) return Found();
  const auto known = sizes.find(shape->second);
  if (known == sizes.end()) return Found();
  const auto rank = static_cast<int64_t>(known->second.size());
  Numbers out;
  std::pair<int64_t, int64_t> part;
  if (node.is("Gather")) {
    MLC_TRY(const Found at, numbers_of(document, node.input(1)));
    if (!at || at->values.size() != 1) return Found();
    const int64_t index = at->values[0] < 0 ? at->values[0] + rank : at->values[0];
    if (index < 0 || index >= rank) return Found();
    part = {index, index + 1};
    out.sizes = at->sizes;
  } else {
    MLC_TRY(const auto taken, sliced(document, node, rank));
    if (!taken) return Found();
    part = *taken;
    out.sizes = {part.second - part.first};
  }
  for (int64_t i = part.first; i < part.second; ++i) {
    const std::optional<int64_t> size = known->second[static_cast<size_t>(i)].size;
    if (!size) return Found();
    out.values.push_back(*size);
  }
  return Found(std::move(out));
}

}  // namespace

Status fold_indices(Document& document) {
  const auto& outputs = document.output_names();
  std::vector<DocNode> kept;
  for (DocNode& node : document.nodes) {
    MLC_TRY(std::optional<Numbers> found, folded(document, node));
    const bool visible = found && std::ranges::find(outputs, node.outputs[0]) != outputs.end();
    if (!found || visible) {
      kept.push_back(std::move(node));
      continue;
    }
    document.name_tensor(node.outputs[0], data_of(std::move(*found)));
  }
  document.nodes = std::move(kept);
  return {};
}

Result<size_t> fold_sizes(Document& document, const InferredSizes& sizes) {
  std::map<std::string, std::string, std::less<>> shapes;
  for (const DocNode& node : document.nodes) {
    if (node.is("Shape") && node.find("start") == nullptr && node.find("end") == nullptr)
      shapes.emplace(node.outputs[0], node.input(0));
  }
  const auto& outputs = document.output_names();
  std::vector<DocNode> kept;
  size_t folded = 0;
  for (DocNode& node : document.nodes) {
    MLC_TRY(std::optional<Numbers> found, known_sizes(document, node, shapes, sizes));
    if (!found || std::ranges::find(outputs, node.outputs[0]) != outputs.end()) {
      kept.push_back(std::move(node));
      continue;
    }
    document.name_tensor(node.outputs[0], data_of(std::move(*found)));
    ++folded;
  }
  document.nodes = std::move(kept);
  return folded;
}

}  // namespace mlc::onnx
