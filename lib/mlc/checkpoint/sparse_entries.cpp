#include "mlc/checkpoint/sparse_entries.h"

#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/element_values.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace mlc {
namespace {

Result<std::string> bytes_of(const Checkpoint& checkpoint, uint32_t part) {
  MLC_CHECK(ExpansionBudget(checkpoint).add(part));
  MLC_TRY(const TensorView view, checkpoint.view(part));
  return contiguous_bytes(view, view.byte_size());
}

/// Little-endian integers of WIDTH bytes, which wrap.
void add_integers(size_t width, std::span<std::byte> sum, Bytes more) {
  for (size_t at = 0; at < sum.size(); at += width) {
    unsigned carry = 0;
    for (size_t i = at; i < at + width; ++i) {
      carry += std::to_integer<unsigned>(sum[i]) + std::to_integer<unsigned>(more[i]);
      sum[i] = static_cast<std::byte>(carry);
      carry >>= 8U;
    }
  }
}

/// Floating-point and complex numbers, of which no double sum is rounded twice: a float has less
/// than half the bits of a double.
Status add_numbers(DType dtype, std::span<std::byte> sum, Bytes more) {
  const size_t count = sum.size() / element_bytes(dtype) * values_per_element(dtype);
  std::vector<double> left(count);
  std::vector<double> right(count);
  load_values(dtype, sum, left.data());
  load_values(dtype, more, right.data());
  for (size_t i = 0; i < count; ++i) left[i] += right[i];
  const bool complex = info(dtype).kind == DTypeClass::complex;
  const Bytes exact = std::as_bytes(std::span(left));
  auto done = convert_block(complex ? DType::c128 : DType::f64, exact, dtype, sum);
  return done.ok() ? Status() : Status(std::move(done).error());
}

Status add(DType dtype, std::span<std::byte> sum, Bytes more) {
  switch (info(dtype).kind) {
    case DTypeClass::boolean:
      for (size_t i = 0; i < sum.size(); ++i) sum[i] |= more[i];
      return {};
    case DTypeClass::integer:
      add_integers(element_bytes(dtype), sum, more);
      return {};
    default:
      return add_numbers(dtype, sum, more);
  }
}

}  // namespace

bool can_coalesce(DType dtype) {
  const DTypeClass kind = info(dtype).kind;
  return info(dtype).per_element == 1 && kind != DTypeClass::quantized &&
         kind != DTypeClass::opaque;
}

Result<SparseEntries> coalesced_entries(const Checkpoint& checkpoint, const Tensor& tensor) {
  const auto args = rebuild_args(checkpoint, tensor);
  if (args.size() < 2) return unsupported("a sparse tensor of an unknown form");
  const auto data = checkpoint.graph.sequence(args[1]);
  if (data.size() < 2) return unsupported("a sparse tensor of an unknown form");
  const uint32_t indices_at = checkpoint.tensor_at(data[0]);
  const uint32_t values_at = checkpoint.tensor_at(data[1]);
  if (indices_at == kNoIndex || values_at == kNoIndex ||
      checkpoint.tensors[indices_at].dtype != DType::i64) {
    return unsupported("a sparse tensor whose indices are no int64 tensor");
  }
  const Dims shape = checkpoint.sizes(checkpoint.tensors[indices_at]);
  const auto dimensions = static_cast<size_t>(shape[0]);
  const auto count = static_cast<size_t>(shape[1]);
  MLC_TRY(const std::string indices, bytes_of(checkpoint, indices_at));
  MLC_TRY(std::string values, bytes_of(checkpoint, values_at));
  const auto coordinate = [&](size_t entry, size_t d) {
    return load_le<int64_t>(as_bytes(indices).data() + (d * count + entry) * sizeof(int64_t));
  };
  const auto compare = [&](size_t a, size_t b) {
    for (size_t d = 0; d < dimensions; ++d) {
      if (coordinate(a, d) != coordinate(b, d)) return coordinate(a, d) < coordinate(b, d) ? -1 : 1;
    }
    return 0;
  };
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return compare(a, b) < 0; });
  SparseEntries out;
  const size_t width = count == 0 ? 0 : values.size() / count;
  const auto value = [&](size_t entry) { return as_bytes(values).subspan(entry * width, width); };
  for (size_t i = 0; i < count; ++i) {
    const bool same = i > 0 && compare(order[i - 1], order[i]) == 0;
    if (same) {
      const auto sum = std::as_writable_bytes(std::span(out.values)).last(width);
      MLC_CHECK(add(checkpoint.tensors[values_at].dtype, sum, value(order[i])));
      continue;
    }
    for (size_t d = 0; d < dimensions; ++d) out.coordinates.push_back(coordinate(order[i], d));
    out.values.append(values, order[i] * width, width);
  }
  return out;
}

}  // namespace mlc
