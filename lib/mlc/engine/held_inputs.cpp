#include "mlc/engine/held_inputs.h"

#include <cstring>

namespace mlc {
namespace {

/// Of integers and bool. Nothing where there are no values, or some that no int64_t holds.
std::optional<ValueRange> range_of(const HostTensor& tensor) {
  const DTypeClass kind = info(tensor.dtype).kind;
  if (kind != DTypeClass::integer && kind != DTypeClass::boolean) return std::nullopt;
  const auto width = static_cast<size_t>(element_bytes(tensor.dtype));
  const bool is_signed = tensor.dtype == DType::i8 || tensor.dtype == DType::i16 ||
                         tensor.dtype == DType::i32 || tensor.dtype == DType::i64;
  const auto unused = static_cast<unsigned>(64 - 8 * width);
  ValueRange out{.int_low = INT64_MAX, .int_high = INT64_MIN};
  for (size_t at = 0; at < tensor.bytes->size(); at += width) {
    uint64_t bits = 0;
    std::memcpy(&bits, tensor.bytes->data() + at, width);
    if (!is_signed && bits > INT64_MAX) return std::nullopt;
    const auto value =
        is_signed ? static_cast<int64_t>(bits << unused) >> unused : static_cast<int64_t>(bits);
    out.int_low = std::min(out.int_low, value);
    out.int_high = std::max(out.int_high, value);
  }
  if (out.int_low > out.int_high) return std::nullopt;
  return out;
}

}  // namespace

void hold(InputSpec& spec, HostTensor tensor) {
  spec.file.clear();
  spec.dtype = tensor.dtype;
  spec.dims.resize(tensor.sizes.size());
  for (size_t i = 0; i < spec.dims.size(); ++i) spec.dims[i].example = tensor.sizes[i];
  spec.values = range_of(tensor);
  spec.held = std::make_shared<const HostTensor>(std::move(tensor));
}

const HostTensor* held_values(const InputSpec& spec) {
  return spec.held && spec.held->sizes == spec.sizes() ? spec.held.get() : nullptr;
}

std::vector<InputSpec> without_floating_values(std::span<const InputSpec> specs) {
  std::vector<InputSpec> out(specs.begin(), specs.end());
  for (InputSpec& spec : out) {
    const DTypeClass kind = info(spec.dtype).kind;
    if (kind == DTypeClass::floating || kind == DTypeClass::complex) spec.held = nullptr;
  }
  return out;
}

}  // namespace mlc
