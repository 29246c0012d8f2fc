#include "mlc/onnx_prune/fold_indices.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMostNumbers = 64;

struct Numbers {
  std::vector<int64_t> values;
  std::vector<int64_t> sizes;
};

/// Nothing where NAME is no short constant of i64.
Result<std::optional<Numbers>> numbers_of(const Document& document, const std::string& name) {
  const DocTensor* const tensor = document.find_tensor(name);
  const bool fits = tensor != nullptr && tensor->dtype() == DType::i64 && tensor->sizes.size() <= 1;
  if (!fits || tensor->data->count() > kMostNumbers) return std::optional<Numbers>();
  MLC_TRY(const Buffer buffer, tensor->data->produce());
  Numbers out{{}, tensor->sizes};
  for (size_t at = 0; at + 8 <= buffer.bytes.size(); at += 8)
    out.values.push_back(load_le<int64_t>(buffer.bytes.data() + at));
  return std::optional(std::move(out));
}

std::optional<int64_t> computed(std::string_view op, int64_t a, int64_t b) {
  if (op == "Add") return checked_add(a, b);
  if (op == "Sub" && b != std::numeric_limits<int64_t>::min()) return checked_add(a, -b);
  if (op == "Mul") return checked_mul(a, b);
  if (op != "Mod" || a < 0 || b <= 0) return std::nullopt;
  return a % b;
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
  constexpr std::string_view kArithmetic[] = {"Add", "Sub", "Mul", "Mod"};
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

DataRef data_of(Numbers numbers) {
  std::string bytes;
  for (const int64_t each : numbers.values) append_le(bytes, each);
  auto out = std::make_shared<TensorData>();
  out->dtype = DType::i64;
  out->sizes = std::move(numbers.sizes);
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  out->produce = [owner]() -> Result<Buffer> { return Buffer{as_bytes(*owner), owner}; };
  return out;
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

}  // namespace mlc::onnx
