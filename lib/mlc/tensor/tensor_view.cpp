#include "mlc/tensor/tensor_view.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr uint64_t kBlockBytes = uint64_t{1} << 20;

template <class T>
void flip_bits(std::span<std::byte> block, T mask, size_t first, size_t step) {
  const size_t count = block.size() / sizeof(T);
  for (size_t i = first; i < count; i += step) {
    std::byte* p = block.data() + i * sizeof(T);
    store_le<T>(p, static_cast<T>(load_le<T>(p) ^ mask));
  }
}

// Changes the sign of every STEP-th component from FIRST on. A float's sign is its top bit.
void flip_signs(std::span<std::byte> block, uint64_t component, size_t first, size_t step) {
  switch (component) {
    case 2:
      return flip_bits<uint16_t>(block, 0x8000, first, step);
    case 4:
      return flip_bits<uint32_t>(block, 0x8000'0000, first, step);
    default:
      return flip_bits<uint64_t>(block, uint64_t{1} << 63, first, step);
  }
}

Status check_signs(const TensorView& view) {
  const DTypeInfo& row = info(view.dtype);
  const bool signed_float =
      row.kind == DTypeClass::complex || (row.kind == DTypeClass::floating && row.bytes >= 2);
  if (view.negated && !signed_float) {
    return unsupported(fmt::format("a {} tensor with the negative bit", row.torch));
  }
  return {};
}

void apply_signs(const TensorView& view, std::span<std::byte> block) {
  const bool complex = info(view.dtype).kind == DTypeClass::complex;
  const uint64_t component = component_bytes(view.dtype);
  if (view.negated) flip_signs(block, component, 0, 1);
  if (view.conjugated && complex) flip_signs(block, component, 1, 2);
}

}  // namespace

uint64_t TensorView::count() const {
  const auto elements = element_count(sizes);
  assert(elements.has_value());
  return static_cast<uint64_t>(elements.value_or(0));
}

uint64_t TensorView::byte_size() const {
  return checked_mul(count(), element_bytes(dtype)).value_or(std::numeric_limits<uint64_t>::max());
}

std::vector<int64_t> sizes_without_repeats(Dims sizes, Dims strides) {
  std::vector<int64_t> out(sizes.begin(), sizes.end());
  for (size_t d = 0; d < out.size(); ++d) {
    if (strides[d] == 0 && out[d] > 1) out[d] = 1;
  }
  return out;
}

bool TensorView::is_plain() const {
  return !conjugated && !negated && is_contiguous(sizes, strides);
}

Bytes TensorView::plain_bytes() const {
  assert(is_plain());
  const uint64_t size = byte_size();
  if (size == 0) return {};
  return storage.subspan(static_cast<size_t>(static_cast<uint64_t>(offset) * element_bytes(dtype)),
                         static_cast<size_t>(size));
}

Result<ViewReader> ViewReader::open(const TensorView& view) {
  MLC_CHECK(check_signs(view));
  return ViewReader(view);
}

ViewReader::ViewReader(const TensorView& view) : view_(view), left_(view.byte_size()) {
  if (left_ == 0) return;
  if (view.is_plain()) {
    plain_ = view.plain_bytes();
  } else {
    strided_.emplace(view.storage, element_bytes(view.dtype), view.sizes, view.strides,
                     view.offset);
  }
}

Bytes ViewReader::next(uint64_t count) {
  const auto size = static_cast<size_t>(
      std::min(left_, checked_mul(count, element_bytes(view_.dtype)).value_or(left_)));
  left_ -= size;
  if (!strided_) {
    const Bytes piece = plain_.first(size);
    plain_ = plain_.subspan(size);
    return piece;
  }
  buffer_.resize(size);
  strided_->read(buffer_);
  apply_signs(view_, buffer_);
  return buffer_;
}

Status for_each_block(const TensorView& view, const std::function<Status(Bytes)>& sink) {
  MLC_TRY(ViewReader reader, ViewReader::open(view));
  const uint64_t elements = kBlockBytes / element_bytes(view.dtype);
  for (Bytes block = reader.next(elements); !block.empty(); block = reader.next(elements)) {
    MLC_CHECK(sink(block));
  }
  return {};
}

Result<std::string> contiguous_bytes(const TensorView& view, uint64_t budget) {
  const uint64_t size = view.byte_size();
  if (size > budget) {
    return unsupported(fmt::format("a {} tensor of shape {} takes {}, more than the limit of {}",
                                   info(view.dtype).torch, format_shape(view.sizes),
                                   format_bytes(size), format_bytes(budget)));
  }
  std::string out;
  out.reserve(static_cast<size_t>(size));
  MLC_CHECK(for_each_block(view, [&](Bytes block) {
    out += as_text(block);
    return Status();
  }));
  return out;
}

}  // namespace mlc
