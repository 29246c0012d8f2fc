#include "mlc/compress/float_rows.h"

#include "mlc/tensor/float_kernels.h"

#include <algorithm>

namespace mlc {

bool has_float_elements(const Tensor& tensor) {
  return tensor.kind == TensorKind::dense && tensor.storage != kNoIndex &&
         info(tensor.dtype).kind == DTypeClass::floating && to_f32_kernel(tensor.dtype) != nullptr;
}

Result<FloatRows> FloatRows::open(const Checkpoint& checkpoint, uint32_t tensor) {
  FloatRows out;
  MLC_TRY(out.view_, checkpoint.view(tensor));
  out.dimension_ = row_dimension(out.view_.sizes);
  out.rows_ = out.view_.sizes.empty() ? 1 : out.view_.sizes[out.dimension_];
  out.columns_ = static_cast<int64_t>(out.view_.count()) / out.rows_;
  return out;
}

int64_t FloatRows::rows_a_piece() const {
  constexpr int64_t kFloats = int64_t{64} << 10U;
  return std::clamp<int64_t>(kFloats / columns_, 1, rows_);
}

Result<std::span<const float>> FloatRows::read(int64_t begin, int64_t end,
                                               std::vector<float>& buffer) const {
  TensorView rows = view_;
  std::vector<int64_t> sizes(view_.sizes.begin(), view_.sizes.end());
  if (!sizes.empty()) {
    sizes[dimension_] = end - begin;
    rows.offset += begin * view_.strides[dimension_];
  }
  rows.sizes = sizes;
  if (rows.dtype == DType::f32 && rows.is_plain()) {
    const Bytes bytes = rows.plain_bytes();
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) == 0) {
      return std::span(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
    }
  }
  buffer.resize(static_cast<size_t>((end - begin) * columns_));
  const FloatKernel convert = to_f32_kernel(rows.dtype);
  const uint64_t element = element_bytes(rows.dtype);
  size_t done = 0;
  MLC_CHECK(for_each_block(rows, [&](Bytes block) -> Status {
    const size_t count = block.size() / element;
    convert(block.data(), reinterpret_cast<std::byte*>(buffer.data() + done), count);
    done += count;
    return {};
  }));
  return std::span<const float>(buffer);
}

}  // namespace mlc
