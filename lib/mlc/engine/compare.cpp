#include "mlc/engine/compare.h"

#include "mlc/base/text.h"
#include "mlc/tensor/element_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

namespace mlc {
namespace {

bool is_real(DType dtype) {
  const DTypeClass kind = info(dtype).kind;
  return info(dtype).per_element == 1 && kind != DTypeClass::complex && kind != DTypeClass::opaque;
}

bool is_integer(DType dtype) {
  const DTypeClass kind = info(dtype).kind;
  return kind == DTypeClass::integer || kind == DTypeClass::boolean;
}

/// Where the largest value is; a NaN is larger than all, as in torch.argmax.
size_t largest(const std::vector<double>& row) {
  size_t best = 0;
  for (size_t i = 1; i < row.size(); ++i) {
    if (std::isnan(row[best])) break;
    if (row[i] > row[best] || std::isnan(row[i])) best = i;
  }
  return best;
}

std::vector<double> row_values(const HostTensor& tensor, size_t row, size_t length) {
  std::vector<double> values(length);
  const size_t bytes = length * static_cast<size_t>(element_bytes(tensor.dtype));
  load_values(tensor.dtype, as_bytes(*tensor.bytes).subspan(row * bytes, bytes), values.data());
  return values;
}

std::optional<double> top1_agreement(const HostTensor& a, const HostTensor& b) {
  if (!is_real(a.dtype) || !is_real(b.dtype) || a.sizes.empty() || a.sizes.back() < 2) {
    return std::nullopt;
  }
  const auto length = static_cast<size_t>(a.sizes.back());
  const auto rows = static_cast<size_t>(*element_count(a.sizes)) / length;
  if (rows == 0) return std::nullopt;
  size_t agree = 0;
  for (size_t row = 0; row < rows; ++row) {
    agree += largest(row_values(a, row, length)) == largest(row_values(b, row, length)) ? 1U : 0U;
  }
  return static_cast<double>(agree) / static_cast<double>(rows);
}

double value_at(const HostTensor& tensor, size_t index) {
  const auto width = static_cast<size_t>(element_bytes(tensor.dtype));
  double out = 0;
  load_values(tensor.dtype, as_bytes(*tensor.bytes).subspan(index * width, width), &out);
  return out;
}

/// The part of the elements that are equal: labels, masks and indices are what models chose, and
/// which of them is largest says nothing.
std::optional<double> equal_elements(const HostTensor& a, const HostTensor& b) {
  const auto count = static_cast<size_t>(*element_count(a.sizes));
  if (count == 0) return std::nullopt;
  const auto width = static_cast<size_t>(element_bytes(a.dtype));
  const char* const bytes_a = a.bytes->data();
  const char* const bytes_b = b.bytes->data();
  size_t equal = 0;
  for (size_t i = 0; i < count; ++i) {
    // Doubles do not tell apart all int64.
    const bool same = a.dtype == b.dtype
                          ? std::memcmp(bytes_a + i * width, bytes_b + i * width, width) == 0
                          : value_at(a, i) == value_at(b, i);
    equal += same ? 1U : 0U;
  }
  return static_cast<double>(equal) / static_cast<double>(count);
}

/// Elements number INDEX, row by row, of tensors of equal sizes.
std::optional<ElementPair> pair_at(const HostTensor& a, const HostTensor& b, size_t index) {
  if (!is_real(a.dtype) || !is_real(b.dtype)) return std::nullopt;
  ElementPair out{std::vector<int64_t>(a.sizes.size()), value_at(a, index), value_at(b, index)};
  auto rest = static_cast<int64_t>(index);
  for (size_t dim = a.sizes.size(); dim-- > 0;) {
    out.index[dim] = rest % a.sizes[dim];
    rest /= a.sizes[dim];
  }
  return out;
}

/// The largest finite |a| of TENSOR; 0 for what are no real numbers.
double largest_finite(const HostTensor& tensor) {
  if (!is_real(tensor.dtype)) return 0;
  constexpr size_t kBlock = 4096;
  const auto count = static_cast<size_t>(*element_count(tensor.sizes));
  const auto width = static_cast<size_t>(element_bytes(tensor.dtype));
  std::vector<double> values(kBlock);
  double out = 0;
  for (size_t i = 0; i < count; i += kBlock) {
    const size_t length = std::min(kBlock, count - i);
    values.resize(length);
    load_values(tensor.dtype, as_bytes(*tensor.bytes).subspan(i * width, length * width),
                values.data());
    for (const double one : values) {
      if (std::isfinite(one)) out = std::max(out, std::fabs(one));
    }
  }
  return out;
}

OutputDifference compare_one(const NamedValue& a, const NamedValue& b,
                             const OutputTolerances& tolerances) {
  OutputDifference out;
  out.name = a.name;
  if (b.name != a.name) out.name_b = b.name;
  out.dtype = a.tensor.dtype;
  out.dtype_b = b.tensor.dtype;
  out.integers = is_integer(a.tensor.dtype) && is_integer(b.tensor.dtype);
  out.tolerance = out.integers ? tolerances.integers
                  : tolerances.by_dtype
                      ? usual_tolerance(a.tensor.dtype, b.tensor.dtype, tolerances.usual)
                      : tolerances.usual;
  if (!out.integers && tolerances.of_largest > 0) {
    out.tolerance.atol =
        std::max(out.tolerance.atol, tolerances.of_largest * largest_finite(a.tensor));
  }
  auto values = compare_tensors(a.tensor.view(), b.tensor.view(), out.tolerance);
  if (!values.ok()) {
    out.problem = describe(a.tensor.dtype, a.tensor.sizes) + " against " +
                  describe(b.tensor.dtype, b.tensor.sizes);
    return out;
  }
  out.values = std::move(*values);
  if (out.values.first_mismatch) {
    out.first_mismatch = pair_at(a.tensor, b.tensor, *out.values.first_mismatch);
  }
  out.top1 = out.integers ? equal_elements(a.tensor, b.tensor) : top1_agreement(a.tensor, b.tensor);
  return out;
}

std::set<std::string> names_of(std::span<const NamedValue> values) {
  std::set<std::string> names;
  for (const NamedValue& value : values) names.insert(value.name);
  return names;
}

const NamedValue* find(std::span<const NamedValue> values, const std::string& name) {
  const auto at = std::ranges::find(values, name, &NamedValue::name);
  return at == values.end() ? nullptr : &*at;
}

OutputDifference lone(const NamedValue& value, std::string problem) {
  OutputDifference out;
  out.name = value.name;
  out.problem = std::move(problem);
  return out;
}

}  // namespace

Tolerance usual_tolerance(DType a, DType b, Tolerance tolerance) {
  const auto at_least = [&](DType dtype, double atol, double rtol) {
    if (a != dtype && b != dtype) return;
    tolerance.atol = std::max(tolerance.atol, atol);
    tolerance.rtol = std::max(tolerance.rtol, rtol);
  };
  at_least(DType::f16, 1e-3, 1e-2);
  at_least(DType::bf16, 1e-2, 5e-2);
  return tolerance;
}

Result<OutputsComparison> compare_outputs(std::span<const NamedValue> a,
                                          std::span<const NamedValue> b,
                                          const OutputTolerances& tolerances) {
  if (a.size() != b.size()) {
    return conflict(plural(a.size(), "output") + " against " + plural(b.size(), "output"));
  }
  const bool same_names = names_of(a) == names_of(b) && names_of(a).size() == a.size();
  OutputsComparison out;
  for (size_t i = 0; i < a.size(); ++i) {
    const NamedValue& other = same_names ? *find(b, a[i].name) : b[i];
    out.outputs.push_back(compare_one(a[i], other, tolerances));
    if (!out.first_diverging && !out.outputs.back().within_tolerance()) out.first_diverging = i;
  }
  return out;
}

OutputsComparison compare_by_name(std::span<const NamedValue> a, std::span<const NamedValue> b,
                                  const OutputTolerances& tolerances) {
  OutputsComparison out;
  const auto add = [&out](OutputDifference one) {
    if (!out.first_diverging && !one.within_tolerance()) out.first_diverging = out.outputs.size();
    out.outputs.push_back(std::move(one));
  };
  for (const NamedValue& one : a) {
    const NamedValue* other = find(b, one.name);
    add(other != nullptr ? compare_one(one, *other, tolerances) : lone(one, "only A gives it"));
  }
  for (const NamedValue& one : b) {
    if (find(a, one.name) == nullptr) add(lone(one, "only B gives it"));
  }
  return out;
}

}  // namespace mlc
