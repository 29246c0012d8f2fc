#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <sstream>
#include <utility>

#include <ATen/Functions.h>

namespace mlc::torch_module {
namespace {

constexpr std::array kTypes = std::to_array<std::pair<DType, c10::ScalarType>>({
    {DType::boolean, c10::kBool},
    {DType::u8, c10::kByte},
    {DType::i8, c10::kChar},
    {DType::i16, c10::kShort},
    {DType::u16, c10::kUInt16},
    {DType::i32, c10::kInt},
    {DType::u32, c10::kUInt32},
    {DType::i64, c10::kLong},
    {DType::u64, c10::kUInt64},
    {DType::f16, c10::kHalf},
    {DType::bf16, c10::kBFloat16},
    {DType::f32, c10::kFloat},
    {DType::f64, c10::kDouble},
    {DType::f8_e4m3fn, c10::kFloat8_e4m3fn},
    {DType::f8_e5m2, c10::kFloat8_e5m2},
    {DType::f8_e4m3fnuz, c10::kFloat8_e4m3fnuz},
    {DType::f8_e5m2fnuz, c10::kFloat8_e5m2fnuz},
    {DType::c32, c10::kComplexHalf},
    {DType::c64, c10::kComplexFloat},
    {DType::c128, c10::kComplexDouble},
});

}  // namespace

Result<c10::ScalarType> scalar_type(DType dtype) {
  const auto row = std::ranges::find(kTypes, dtype, &std::pair<DType, c10::ScalarType>::first);
  if (row != kTypes.end()) return row->second;
  return unsupported("LibTorch runs no models on " + std::string(info(dtype).torch) + " tensors");
}

Result<DType> dtype_of(c10::ScalarType type) {
  const auto row = std::ranges::find(kTypes, type, &std::pair<DType, c10::ScalarType>::second);
  if (row != kTypes.end()) return row->first;
  return unsupported(std::string("a tensor of type ") + c10::toString(type) +
                     " cannot leave the model");
}

Result<at::Tensor> to_torch(const HostTensor& tensor, c10::Device device,
                            std::optional<c10::ScalarType> floating) {
  MLC_TRY(const c10::ScalarType type, scalar_type(tensor.dtype));
  // A model may write into its inputs, and these bytes are shared: never without a copy.
  void* const bytes = const_cast<char*>(tensor.bytes->data());
  at::Tensor out = at::from_blob(bytes, tensor.sizes, at::TensorOptions(type)).clone();
  const bool cast = floating && at::isFloatingType(type);
  return out.to(device, cast ? *floating : type);
}

at::Tensor in_place(const Weight& weight, c10::ScalarType type) {
  const at::TensorOptions options(type);
  if (weight.bytes.empty()) return at::empty(weight.sizes, options);
  void* const bytes = const_cast<std::byte*>(weight.bytes.data());
  const bool aligned = reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(type) == 0;
  at::Tensor view = at::from_blob(
      bytes, weight.sizes, [owner = weight.owner](void*) {}, options);
  return aligned ? view : view.clone();
}

std::string identity(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.const_data_ptr() << tensor.scalar_type() << tensor.sizes() << tensor.strides();
  return out.str();
}

Result<HostTensor> to_host(const at::Tensor& tensor) {
  if (tensor.layout() != c10::kStrided) return unsupported("it is no dense tensor");
  if (tensor.is_meta())
    return unsupported("it is on the meta device, where tensors have no values");
  if (tensor.is_quantized()) return unsupported("it is a quantised tensor");
  const at::Tensor plain =
      tensor.to(c10::Device(c10::kCPU)).resolve_conj().resolve_neg().contiguous();
  MLC_TRY(const DType dtype, dtype_of(plain.scalar_type()));
  std::string bytes(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
  return make_host_tensor(dtype, plain.sizes().vec(), std::move(bytes));
}

}  // namespace mlc::torch_module
