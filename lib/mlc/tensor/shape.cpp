#include "mlc/tensor/shape.h"

#include "mlc/base/checked_math.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mlc {
namespace {

__extension__ using Wide = __int128;

Status check_dims(Dims sizes, Dims strides) {
  if (sizes.size() != strides.size()) {
    return corrupt(fmt::format("shape has {} dimensions, but there are {} strides", sizes.size(),
                               strides.size()));
  }
  if (sizes.size() > kMaxRank) {
    return corrupt(
        fmt::format("{} dimensions, more than the {} of PyTorch", sizes.size(), kMaxRank));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0)
      return corrupt(fmt::format("size {} of dimension {} is negative", sizes[i], i));
    if (strides[i] < 0) {
      return corrupt(fmt::format("stride {} of dimension {} is negative", strides[i], i));
    }
  }
  return {};
}

}  // namespace

std::optional<int64_t> element_count(Dims sizes) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : sizes) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    const auto next = checked_mul(product, size);
    if (!next) return std::nullopt;
    product = *next;
  }
  return empty ? 0 : product;
}

std::vector<int64_t> contiguous_strides(Dims sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t next = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = next;
    // Shapes whose product does not fit pass no check before; a defined value suffices for them.
    next = checked_mul(next, std::max<int64_t>(sizes[i], 1)).value_or(next);
  }
  return strides;
}

bool is_contiguous(Dims sizes, Dims strides) {
  if (sizes.size() != strides.size()) return false;
  if (std::ranges::find(sizes, 0) != sizes.end()) return true;
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (strides[i] != expected) return false;
    const auto next = checked_mul(expected, sizes[i]);
    if (!next) return false;
    expected = *next;
  }
  return true;
}

Result<ElementRange> checked_extent(Dims sizes, Dims strides, int64_t offset,
                                    int64_t storage_elements) {
  MLC_CHECK(check_dims(sizes, strides));
  const auto count = element_count(sizes);
  if (!count) {
    return corrupt(
        fmt::format("shape {} has more elements than 64 bits can count", format_shape(sizes)));
  }
  if (*count == 0) return ElementRange{};
  if (offset < 0) return corrupt(fmt::format("storage offset {} is negative", offset));
  // At most 64 products below 2^126 each would overflow: stop as soon as the storage is exceeded.
  Wide last = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    last += Wide{sizes[i] - 1} * strides[i];
    if (last >= storage_elements) break;
  }
  if (last >= storage_elements) {
    return corrupt(fmt::format(
        "shape {} with strides {} at offset {} reaches beyond the {} elements of its storage",
        format_shape(sizes), format_shape(strides), offset, storage_elements));
  }
  return ElementRange{offset, static_cast<int64_t>(last) + 1};
}

std::string format_shape(Dims sizes) {
  std::string out = "[";
  for (const int64_t size : sizes) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(size);
  }
  return out += ']';
}

}  // namespace mlc
