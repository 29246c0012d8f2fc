#include "mlc/compress/raw_rows.h"

#include <algorithm>

namespace mlc {

Result<RawRows> RawRows::open(const Checkpoint& checkpoint, uint32_t tensor) {
  RawRows out;
  MLC_TRY(out.view_, checkpoint.view(tensor));
  out.dimension_ = row_dimension(out.view_.sizes);
  out.rows_ = out.view_.sizes.empty() ? 1 : out.view_.sizes[out.dimension_];
  out.columns_ = static_cast<int64_t>(out.view_.count()) / out.rows_;
  return out;
}

int64_t RawRows::rows_a_piece(int64_t step) const {
  constexpr uint64_t kBytes = uint64_t{256} << 10U;
  const auto rows = static_cast<int64_t>(kBytes / row_bytes());
  return std::max(step, std::min(rows, rows_) / step * step);
}

Result<Bytes> RawRows::read(int64_t begin, int64_t end, std::vector<std::byte>& buffer) const {
  TensorView rows = view_;
  std::vector<int64_t> sizes(view_.sizes.begin(), view_.sizes.end());
  if (!sizes.empty()) {
    sizes[dimension_] = end - begin;
    rows.offset += begin * view_.strides[dimension_];
  }
  rows.sizes = sizes;
  if (rows.is_plain()) return rows.plain_bytes();
  buffer.clear();
  buffer.reserve(static_cast<size_t>(end - begin) * row_bytes());
  MLC_CHECK(for_each_block(rows, [&buffer](Bytes block) -> Status {
    buffer.insert(buffer.end(), block.begin(), block.end());
    return {};
  }));
  return Bytes(buffer);
}

}  // namespace mlc
