#include "mlc/onnx/computed_weight.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMostElements = uint64_t{1} << 28;

std::string computed_key(const std::string& key) {
  constexpr std::string_view kNew = ".parametrizations.";
  if (const size_t at = key.rfind(kNew); at != std::string::npos && key.find(".original") > at) {
    const size_t begin = at + kNew.size();
    return key.substr(0, at + 1) + key.substr(begin, key.find(".original", begin) - begin);
  }
  for (const std::string_view end : {"_v", "_orig"}) {
    if (key.ends_with(end)) return key.substr(0, key.size() - end.size());
  }
  return "";
}

}  // namespace

std::string key_of_computed(std::span<const DataRef> inputs, const std::vector<int64_t>& sizes) {
  for (const DataRef& input : inputs) {
    if (input == nullptr || input->sizes != sizes) continue;
    std::string key = computed_key(input->key);
    if (!key.empty()) return key;
  }
  return "";
}

DataRef computed_weight(std::span<const DataRef> inputs, DType dtype, std::vector<int64_t> sizes,
                        std::function<Result<Buffer>()> produce) {
  uint64_t largest = 0;
  for (const DataRef& input : inputs) {
    if (input == nullptr || info(input->dtype).kind != DTypeClass::floating) return nullptr;
    largest = std::max(largest, input->count());
  }
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->key = key_of_computed(inputs, sizes);
  out->sizes = std::move(sizes);
  out->produce = std::move(produce);
  return largest > kMostElements || out->count() > largest ? nullptr : out;
}

}  // namespace mlc::onnx
