#include "mlc/onnx_prune/constant_numbers.h"

#include <memory>
#include <utility>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMostNumbers = 64;

}  // namespace

Result<std::optional<Numbers>> numbers_of(const Document& document, const std::string& name) {
  const DocTensor* const tensor = document.find_tensor(name);
  const bool fits = tensor != nullptr && tensor->dtype() == DType::i64 && tensor->sizes.size() <= 1;
  if (!fits || tensor->data->count() > kMostNumbers) return std::optional<Numbers>();
  MLC_TRY(const Buffer buffer, tensor->data->produce());
  Numbers out{{}, tensor->sizes};
  for (size_t at = 0; at + 8 <= buffer.bytes.size(); at += 8)
    out.values.push_back(load_le<int64_t>(buffer.bytes.data() + at));
  return std::optional(std::move(out));
}

DataRef data_of(Numbers numbers) {
  std::string bytes;
  for (const int64_t each : numbers.values) append_le(bytes, each);
  auto out = std::make_shared<TensorData>();
  out->dtype = DType::i64;
  out->sizes = std::move(numbers.sizes);
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  out->produce = [owner]() -> Result<Buffer> { return Buffer{as_bytes(*owner), owner}; };
  return out;
}

}  // namespace mlc::onnx
