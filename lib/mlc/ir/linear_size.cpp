#include "mlc/ir/linear_size.h"

#include "mlc/base/checked_math.h"

#include <limits>
#include <utility>
#include <vector>

namespace mlc::ir {
namespace {

/// factor * symbol + offset; nothing where it is none, or 64 bits do not hold it.
struct Form {
  std::optional<int64_t> factor;
  std::optional<int64_t> offset;
};

std::optional<int64_t> sum(std::optional<int64_t> a, std::optional<int64_t> b) {
  return a && b ? checked_add(*a, *b) : std::nullopt;
}

std::optional<int64_t> product(std::optional<int64_t> a, std::optional<int64_t> b) {
  return a && b ? checked_mul(*a, *b) : std::nullopt;
}

/// For Symbols::build().
struct FormMaker {
  static Form constant(int64_t value) { return {0, value}; }
  static Form symbol(size_t /*index*/) { return {1, 0}; }
  static Form add(Form a, Form b) { return {sum(a.factor, b.factor), sum(a.offset, b.offset)}; }
  static Form multiply(Form a, Form b) {
    if (a.factor == 0) std::swap(a, b);
    if (b.factor != 0) return {};
    return {product(a.factor, b.offset), product(a.offset, b.offset)};
  }
  static Form floor_divide(Form /*a*/, Form /*b*/) { return {}; }
  static Form minimum(Form /*a*/, Form /*b*/) { return {}; }
  static Form maximum(Form /*a*/, Form /*b*/) { return {}; }
  static Form rounded(const RealSteps& /*steps*/, const std::vector<Form>& /*operands*/) {
    return {};
  }
};

}  // namespace

std::optional<int64_t> LinearSize::at(int64_t value) const {
  return sum(product(factor, value), offset);
}

std::optional<int64_t> LinearSize::solve(int64_t size) const {
  int64_t rest = 0;
  if (__builtin_sub_overflow(size, offset, &rest)) return std::nullopt;
  if (factor == -1 && rest == std::numeric_limits<int64_t>::min()) return std::nullopt;
  if (rest % factor != 0) return std::nullopt;
  return rest / factor;
}

std::optional<LinearSize> linear_size(const Symbols& symbols, Expr size) {
  const std::vector<size_t> used = symbols.symbols_of(size);
  if (used.size() != 1) return std::nullopt;
  FormMaker maker;
  const Form form = symbols.build<Form>(size, maker);
  if (form.factor.value_or(0) == 0 || !form.offset) return std::nullopt;
  return LinearSize{used[0], *form.factor, *form.offset};
}

}  // namespace mlc::ir
