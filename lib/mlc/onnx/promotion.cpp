#include "mlc/onnx/promotion.h"

#include <algorithm>
#include <array>
#include <optional>

namespace mlc::onnx {
namespace {

bool is_floating(DType dtype) {
  return info(dtype).kind == DTypeClass::floating;
}
bool is_complex(DType dtype) {
  return info(dtype).kind == DTypeClass::complex;
}
bool is_unsigned(DType dtype) {
  return dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64;
}

DType promote_integers(DType a, DType b) {
  if (is_unsigned(a) == is_unsigned(b)) return info(a).bytes >= info(b).bytes ? a : b;
  const DType positive = is_unsigned(a) ? a : b;
  const DType other = is_unsigned(a) ? b : a;
  if (info(other).bytes > info(positive).bytes) return other;
  constexpr std::array kSigned = {DType::i16, DType::i32, DType::i64};
  for (const DType wider : kSigned) {
    if (info(wider).bytes > info(positive).bytes) return wider;
  }
  return DType::f32;  // uint64 with a signed integer
}

/// TypeProperties.cpp, combine_categories.
DType combine(std::optional<DType> higher, std::optional<DType> lower) {
  if (!higher) return *lower;
  if (!lower || is_complex(*higher)) return *higher;
  if (is_floating(*higher) && !is_complex(*lower)) return *higher;
  if (*higher == DType::boolean || is_floating(*lower) || is_complex(*lower)) {
    return promote(*higher, *lower);
  }
  return *higher;
}

}  // namespace

DType promote(DType a, DType b) {
  if (a == b || b == DType::boolean) return a;
  if (a == DType::boolean) return b;
  const bool complex_a = is_complex(a);
  const bool complex_b = is_complex(b);
  if (complex_a && complex_b) return info(a).bytes >= info(b).bytes ? a : b;
  if (complex_a || complex_b) {
    const DType other = complex_a ? b : a;
    const DType complex = complex_a ? a : b;
    return other == DType::f64 ? DType::c128 : complex;
  }
  const bool floating_a = is_floating(a);
  const bool floating_b = is_floating(b);
  if (floating_a && floating_b) {
    if (info(a).bytes == info(b).bytes) return DType::f32;  // float16 with bfloat16
    return info(a).bytes > info(b).bytes ? a : b;
  }
  if (floating_a) return a;
  if (floating_b) return b;
  return promote_integers(a, b);
}

DType promote(std::span<const Operand> operands) {
  std::array<std::optional<DType>, 3> found;
  for (const Operand& one : operands) {
    auto& slot = found[static_cast<size_t>(one.rank)];
    slot = slot ? promote(*slot, one.dtype) : one.dtype;
  }
  const auto [scalar, zero_dim, tensor] = found;
  if (!scalar && !zero_dim) return tensor.value_or(DType::f32);
  const DType low = combine(zero_dim, scalar);
  return tensor ? combine(tensor, low) : low;
}

}  // namespace mlc::onnx
