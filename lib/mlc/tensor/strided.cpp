#include "mlc/tensor/strided.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace mlc {
namespace {

struct Plane {
  const std::byte* from;  // element (0, 0)
  int64_t rows, row_stride;
  int64_t columns, column_stride;
};

// 16 bytes that copy as one.
struct Wide {
  uint64_t low, high;
};

template <class T>
void copy_line(const std::byte* from, int64_t stride, int64_t count, std::byte* to) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(T));
  if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count * kBytes));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * stride * kBytes, sizeof value);
    std::memcpy(to + i * kBytes, &value, sizeof value);
  }
}

// A tile of 64-byte lines on both sides stays in the first-level cache, and its pages in the TLB.
template <class T>
void copy_tiles(const Plane& plane, std::byte* to) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(T));
  constexpr int64_t kTile = std::max<int64_t>(64 / kBytes, 16);
  for (int64_t r = 0; r < plane.rows; r += kTile) {
    const int64_t rows = std::min(kTile, plane.rows - r);
    for (int64_t c = 0; c < plane.columns; c += kTile) {
      const int64_t columns = std::min(kTile, plane.columns - c);
      for (int64_t i = r; i < r + rows; ++i) {
        copy_line<T>(plane.from + (i * plane.row_stride + c * plane.column_stride) * kBytes,
                     plane.column_stride, columns, to + (i * plane.columns + c) * kBytes);
      }
    }
  }
}

template <class T>
void copy_plane(const Plane& plane, std::byte* to) {
  if (plane.row_stride < plane.column_stride && plane.rows > 1) return copy_tiles<T>(plane, to);
  for (int64_t r = 0; r < plane.rows; ++r) {
    copy_line<T>(plane.from + r * plane.row_stride * static_cast<int64_t>(sizeof(T)),
                 plane.column_stride, plane.columns,
                 to + r * plane.columns * static_cast<int64_t>(sizeof(T)));
  }
}

void copy_plane_of(size_t element, const Plane& plane, std::byte* to) {
  switch (element) {
    case 1:
      return copy_plane<uint8_t>(plane, to);
    case 2:
      return copy_plane<uint16_t>(plane, to);
    case 4:
      return copy_plane<uint32_t>(plane, to);
    case 8:
      return copy_plane<uint64_t>(plane, to);
    default:
      return copy_plane<Wide>(plane, to);
  }
}

}  // namespace

StridedReader::StridedReader(Bytes storage, uint64_t element, Dims sizes, Dims strides,
                             int64_t offset)
    : storage_(storage.data()), element_(static_cast<size_t>(element)), base_(offset) {
  assert(sizes.size() == strides.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1) continue;
    const Dim dim{sizes[i], strides[i]};
    // Outer dimension steps exactly over this one: walk both as one. No overflow, as the extent of
    // the view has been checked and both factors belong to it.
    if (!outer_.empty() && dim.stride != 0 && outer_.back().stride / dim.stride == dim.size &&
        outer_.back().stride % dim.stride == 0) {
      outer_.back() = {outer_.back().size * dim.size, dim.stride};
    } else {
      outer_.push_back(dim);
    }
  }
  for (Dim* inner : {&columns_, &rows_}) {
    if (outer_.empty()) break;
    *inner = outer_.back();
    outer_.pop_back();
  }
  position_.assign(outer_.size(), 0);
}

void StridedReader::read(std::span<std::byte> out) {
  assert(out.size() % element_ == 0);
  auto left = static_cast<int64_t>(out.size() / element_);
  std::byte* to = out.data();
  while (left > 0) {
    const int64_t first = base_ + row_ * rows_.stride + column_ * columns_.stride;
    Plane plane{storage_ + first * static_cast<int64_t>(element_), 1, rows_.stride, 0,
                columns_.stride};
    if (column_ != 0 || left < columns_.size) {
      plane.columns = std::min(columns_.size - column_, left);
    } else {
      plane.columns = columns_.size;
      plane.rows = std::min(rows_.size - row_, left / columns_.size);
    }
    copy_plane_of(element_, plane, to);
    const int64_t done = plane.rows * plane.columns;
    to += done * static_cast<int64_t>(element_);
    left -= done;
    column_ += plane.columns;
    if (column_ == columns_.size) next_row(plane.rows);
  }
}

void StridedReader::next_row(int64_t rows) {
  column_ = 0;
  row_ += rows;
  if (row_ < rows_.size) return;
  row_ = 0;
  for (size_t i = outer_.size(); i-- > 0;) {
    base_ += outer_[i].stride;
    if (++position_[i] < outer_[i].size) return;
    base_ -= outer_[i].stride * outer_[i].size;
    position_[i] = 0;
  }
}

}  // namespace mlc
