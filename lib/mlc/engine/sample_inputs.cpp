#include "mlc/engine/sample_inputs.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/machine.h"
#include "mlc/engine/random_source.h"
#include "mlc/tensor/convert.h"

#include <algorithm>
#include <cstring>

namespace mlc {
namespace {

constexpr size_t kBlock = 4096;  // elements that are made before they are converted

/// Bytes of the tensor. Errors: usage where the machine has less than twice that: the engine gets a
/// copy.
Result<uint64_t> affordable(DType dtype, Dims sizes) {
  const auto count = element_count(sizes);
  const auto bytes =
      count ? checked_mul(static_cast<uint64_t>(*count), element_bytes(dtype)) : std::nullopt;
  if (bytes && *bytes <= memory_bytes() / 2) return *bytes;
  return usage_error(describe(dtype, sizes) + " needs " +
                         (bytes ? format_bytes(*bytes) : "more than 2^64 bytes") +
                         " twice, and this machine has " + format_bytes(memory_bytes()),
                     "give smaller sizes");
}

ValueRange default_range(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return {.int_low = 0, .int_high = 1};
    case DType::u8:
      return {.int_low = 0, .int_high = 255};
    case DType::i8:
      return {.int_low = -128, .int_high = 127};
    default:
      return {.int_low = 0, .int_high = 9};
  }
}

/// Values of a floating type, each half of a complex one by itself.
Status fill_floating(const InputSpec& spec, const RandomSource& source, std::string& bytes) {
  const DType dtype = spec.dtype;
  const DType part = info(dtype).kind != DTypeClass::complex ? dtype
                     : dtype == DType::c128                  ? DType::f64
                     : dtype == DType::c64                   ? DType::f32
                                                             : DType::f16;
  const size_t width = static_cast<size_t>(element_bytes(part));
  const size_t count = bytes.size() / width;
  std::vector<double> values(std::min(count, kBlock));
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t here = std::min(kBlock, count - first);
    for (size_t i = 0; i < here; ++i) {
      values[i] = spec.values ? source.uniform(first + i, spec.values->low, spec.values->high)
                              : source.normal(first + i);
    }
    const auto out = std::as_writable_bytes(std::span(bytes).subspan(first * width, here * width));
    MLC_CHECK(convert_block(DType::f64, std::as_bytes(std::span(values).first(here)), part, out));
  }
  return {};
}

/// The low bytes of 64-bit integers are what a narrower little-endian type holds.
void fill_integers(const InputSpec& spec, const RandomSource& source, std::string& bytes) {
  const ValueRange range = spec.values.value_or(default_range(spec.dtype));
  const size_t width = static_cast<size_t>(element_bytes(spec.dtype));
  for (size_t i = 0; i * width < bytes.size(); ++i) {
    const int64_t value = source.integer(i, range.int_low, range.int_high);
    std::memcpy(bytes.data() + i * width, &value, width);
  }
}

/// The tensor of the file that the input NAME means.
Result<uint32_t> choose_tensor(const Checkpoint& checkpoint, const std::string& name) {
  const std::vector<NamedTensor> all = all_tensors(checkpoint, checkpoint.root);
  const auto named = std::ranges::find(all, name, &NamedTensor::path);
  if (named != all.end()) return named->tensor;
  if (all.size() == 1) return all.front().tensor;
  if (all.empty()) return not_found("the file holds no tensor");
  std::vector<std::string> paths;
  for (const NamedTensor& tensor : all) paths.push_back(printable(tensor.path));
  return not_found("none of its " + plural(all.size(), "tensor") + " is named " + quoted(name),
                   "it has " + join_list(paths));
}

Result<HostTensor> read_file(const InputSpec& spec, Reporter& reporter) {
  MLC_TRY(const auto checkpoint, open_checkpoint(spec.file));
  for (const std::string& warning : checkpoint->warnings) {
    reporter.warn(printable(spec.file) + ": " + warning);
  }
  auto read = [&]() -> Result<HostTensor> {
    MLC_TRY(const uint32_t index, choose_tensor(*checkpoint, spec.name));
    const Tensor& tensor = checkpoint->tensors[index];
    MLC_TRY(const uint64_t size, affordable(tensor.dtype, checkpoint->sizes(tensor)));
    if (tensor.storage != kNoIndex) MLC_CHECK(check_storage(*checkpoint, tensor.storage));
    MLC_TRY(const TensorView view, checkpoint->view(index));
    MLC_TRY(std::string bytes, contiguous_bytes(view, size));
    return make_host_tensor(view.dtype, {view.sizes.begin(), view.sizes.end()}, std::move(bytes));
  };
  auto tensor = read();
  if (!tensor.ok()) return std::move(tensor).error().in_file(spec.file);
  return tensor;
}

}  // namespace

Result<HostTensor> random_tensor(const InputSpec& spec, std::vector<int64_t> sizes, uint64_t seed) {
  MLC_TRY(const uint64_t size, affordable(spec.dtype, sizes));
  std::string bytes(static_cast<size_t>(size), '\0');
  const RandomSource source(seed, spec.name);
  const DTypeClass kind = info(spec.dtype).kind;
  if (kind == DTypeClass::floating || kind == DTypeClass::complex) {
    MLC_CHECK(fill_floating(spec, source, bytes));
  } else {
    fill_integers(spec, source, bytes);
  }
  return make_host_tensor(spec.dtype, std::move(sizes), std::move(bytes));
}

Result<std::vector<NamedValue>> sample_inputs(std::span<const InputSpec> specs, uint64_t seed,
                                              Reporter& reporter) {
  std::vector<NamedValue> out;
  for (const InputSpec& spec : specs) {
    const HostTensor* held = held_values(spec);
    auto tensor = held != nullptr     ? Result<HostTensor>(*held)
                  : spec.file.empty() ? random_tensor(spec, spec.sizes(), seed)
                                      : read_file(spec, reporter);
    if (!tensor.ok()) {
      return std::move(tensor).error().during("input " + quoted(spec.name));
    }
    out.push_back({spec.name, std::move(*tensor)});
  }
  return out;
}

}  // namespace mlc
