#include "mlc/checkpoint/tensor_parts.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <string>

namespace mlc {
namespace {

Error misfit(const std::string& what) {
  return corrupt("the parts of a sparse tensor do not fit: " + what);
}

bool equal(Dims a, Dims b) {
  return std::ranges::equal(a, b);
}

struct Layout {
  std::string_view name;
  size_t compressed;  // which of the two dimensions
  bool blocks;
};

constexpr Layout kLayouts[] = {{"sparse_csr", 0, false},
                               {"sparse_csc", 1, false},
                               {"sparse_bsr", 0, true},
                               {"sparse_bsc", 1, true}};

}  // namespace

Status check_coo_parts(Dims indices, Dims values, Dims size) {
  if (indices.size() != 2) return misfit("indices of shape " + format_shape(indices));
  if (values.empty()) return misfit("values of shape []");
  const auto sparse = static_cast<uint64_t>(indices[0]);
  if (indices[1] != values[0]) {
    return misfit(std::to_string(indices[1]) + " indices for " + std::to_string(values[0]) +
                  " values");
  }
  const Dims dense = values.subspan(1);
  if (sparse > size.size() || !equal(size.subspan(static_cast<size_t>(sparse)), dense)) {
    return misfit("indices of " + std::to_string(sparse) + " dimensions and values of shape " +
                  format_shape(values) + " for " + format_shape(size));
  }
  return {};
}

Status check_compressed_parts(std::string_view layout, Dims compressed, Dims plain, Dims values,
                              Dims size) {
  const Layout* row = std::ranges::find(kLayouts, layout, &Layout::name);
  if (row == std::end(kLayouts)) return corrupt("a sparse tensor of layout " + quoted(layout));
  const size_t blocks = row->blocks ? 2 : 0;
  if (compressed.empty() || compressed.size() != plain.size() ||
      values.size() < plain.size() + blocks) {
    return misfit("indices of shapes " + format_shape(compressed) + " and " + format_shape(plain) +
                  ", values of " + format_shape(values));
  }
  const size_t batch = plain.size() - 1;
  const Dims dense = values.subspan(plain.size() + blocks);
  const bool same_batch = size.size() == batch + 2 + dense.size() &&
                          equal(compressed.first(batch), size.first(batch)) &&
                          equal(plain.first(batch), size.first(batch)) &&
                          equal(values.first(batch), size.first(batch)) &&
                          equal(dense, size.subspan(batch + 2));
  if (!same_batch) {
    return misfit("values of shape " + format_shape(values) + " for " + format_shape(size));
  }
  if (plain[batch] != values[batch]) {
    return misfit(std::to_string(plain[batch]) + " indices for " + std::to_string(values[batch]) +
                  " values");
  }
  for (size_t d = 0; d < 2; ++d) {
    const int64_t block = row->blocks ? values[plain.size() + d] : 1;
    if (block <= 0 || size[batch + d] % block != 0) {
      return misfit("blocks of " + std::to_string(block) + " for " + format_shape(size));
    }
    if (d == row->compressed && compressed[batch] != size[batch + d] / block + 1) {
      return misfit(std::to_string(compressed[batch]) + " compressed indices for " +
                    format_shape(size));
    }
  }
  return {};
}

Status check_channels(Dims size, int64_t axis, int64_t scales, int64_t zero_points) {
  if (axis < 0 || static_cast<uint64_t>(axis) >= size.size()) {
    return corrupt("a tensor of shape " + format_shape(size) + " is quantized along dimension " +
                   std::to_string(axis));
  }
  const int64_t channels = size[static_cast<size_t>(axis)];
  if (scales == channels && zero_points == channels) return {};
  return corrupt("a quantized tensor has " + std::to_string(scales) + " scales and " +
                 std::to_string(zero_points) + " zero points for " + std::to_string(channels) +
                 " channels");
}

}  // namespace mlc
