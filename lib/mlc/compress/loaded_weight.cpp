#include "mlc/compress/loaded_weight.h"

#include "mlc/base/text.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <cmath>

namespace mlc {
namespace {

constexpr uint64_t kMaxCopy = uint64_t{1} << 36U;
constexpr std::initializer_list<DType> kScaleTypes = {DType::f32, DType::f16, DType::bf16};

Result<uint32_t> find_part(const TensorsByName& tensors, const std::string& name) {
  const auto at = tensors.find(name);
  if (at == tensors.end()) {
    return corrupt("its tensor " + quoted(name) + " is missing",
                   "keys of quantised weights keep their names until `mlc dequantize`");
  }
  return at->second;
}

/// Whether a part has the type and the shape that the record demands.
Status check_part(const Checkpoint& checkpoint, uint32_t index, const std::string& name,
                  std::initializer_list<DType> dtypes, Dims sizes) {
  const Tensor& tensor = checkpoint.tensors[index];
  const Dims found = checkpoint.sizes(tensor);
  const bool type = std::find(dtypes.begin(), dtypes.end(), tensor.dtype) != dtypes.end();
  if (tensor.kind == TensorKind::dense && type && std::ranges::equal(found, sizes)) return {};
  return corrupt("its tensor " + quoted(name) + " is " + std::string(info(tensor.dtype).torch) +
                 " " + format_shape(found) + " instead of " +
                 std::string(info(*dtypes.begin()).torch) + " " + format_shape(sizes));
}

}  // namespace

TensorsByName tensors_by_name(const StateDict& state_dict) {
  TensorsByName out;
  out.reserve(state_dict.entries.size());
  for (const StateDictEntry& entry : state_dict.entries) {
    out.insert_or_assign(std::string(entry.key), entry.tensor);
  }
  return out;
}

Result<Bytes> LoadedWeight::take(const Checkpoint& checkpoint, uint32_t tensor) {
  MLC_TRY(const TensorView view, checkpoint.view(tensor));
  if (view.is_plain()) return view.plain_bytes();
  MLC_TRY(std::string bytes, contiguous_bytes(view, kMaxCopy));
  owned_.push_back(std::make_shared<const std::string>(std::move(bytes)));
  return as_bytes(*owned_.back());
}

Result<LoadedWeight> LoadedWeight::open(const Checkpoint& checkpoint, const TensorsByName& tensors,
                                        QuantFormat format, const QuantizedTensor& described) {
  LoadedWeight out;
  out.described_ = described;
  const QuantScheme& scheme = described.scheme;
  const size_t dimension = row_dimension(described.shape);
  out.rows_ = described.shape.empty() ? 1 : described.shape[dimension];
  out.columns_ = element_count(described.shape).value_or(0) / out.rows_;
  const PartNames names = part_names(format, described);
  MLC_TRY(const uint32_t codes, find_part(tensors, names.codes));
  const std::vector<int64_t> sizes = scheme.is_integer() ? code_sizes(described) : described.shape;
  MLC_CHECK(check_part(checkpoint, codes, names.codes, {code_dtype(scheme)}, sizes));
  MLC_TRY(const Bytes code_bytes, out.take(checkpoint, codes));
  if (!scheme.is_integer()) {
    out.values_ = code_bytes;
    return out;
  }
  MLC_TRY(const uint32_t scale, find_part(tensors, names.scale));
  const std::vector<int64_t> scales = scale_sizes(described);
  MLC_CHECK(check_part(checkpoint, scale, names.scale, kScaleTypes, scales));
  MLC_TRY(const Bytes scale_bytes, out.take(checkpoint, scale));
  Bytes zero_bytes;
  DType zero_dtype = DType::u8;
  if (!names.zero_point.empty()) {
    MLC_TRY(const uint32_t zero, find_part(tensors, names.zero_point));
    MLC_CHECK(check_part(checkpoint, zero, names.zero_point, {DType::u8, DType::f16}, scales));
    zero_dtype = checkpoint.tensors[zero].dtype;
    MLC_TRY(zero_bytes, out.take(checkpoint, zero));
  }
  MLC_TRY(out.codes_,
          StoredWeight::create(scheme, described.shape, code_bytes, checkpoint.tensors[scale].dtype,
                               scale_bytes, zero_dtype, zero_bytes));
  if (names.input_scale.empty()) return out;
  MLC_TRY(const uint32_t factors, find_part(tensors, names.input_scale));
  MLC_CHECK(check_part(checkpoint, factors, names.input_scale, kScaleTypes,
                       input_scale_sizes(described)));
  MLC_CHECK(out.read_input_scale(checkpoint, factors, names.input_scale));
  return out;
}

Status LoadedWeight::read_input_scale(const Checkpoint& checkpoint, uint32_t tensor,
                                      const std::string& name) {
  MLC_TRY(const Bytes bytes, take(checkpoint, tensor));
  input_scale_.resize(static_cast<size_t>(columns_));
  to_f32_kernel(checkpoint.tensors[tensor].dtype)(
      bytes.data(), reinterpret_cast<std::byte*>(input_scale_.data()), input_scale_.size());
  const bool sound = std::ranges::all_of(
      input_scale_, [](float factor) { return factor > 0 && std::isfinite(factor); });
  if (sound) return {};
  return corrupt("its tensor " + quoted(name) +
                 " has a number that is no scale: 0, below, or not "
                 "finite");
}

void LoadedWeight::decode(int64_t row, float* out) const {
  if (codes_) {
    codes_->decode(row, out);
    for (size_t j = 0; j < input_scale_.size(); ++j) out[j] /= input_scale_[j];
    return;
  }
  const DType stored = described_.scheme.info().stored;
  const auto count = static_cast<size_t>(columns_);
  to_f32_kernel(stored)(values_.data() + static_cast<size_t>(row) * count * element_bytes(stored),
                        reinterpret_cast<std::byte*>(out), count);
}

/// Codes are the nearest ones to the products, errors those of the weights.
void LoadedWeight::compare_scaled(int64_t row, const float* weights, ErrorSums& sums) const {
  thread_local std::vector<float> products;
  thread_local std::vector<float> values;
  products.resize(input_scale_.size());
  values.resize(input_scale_.size());
  for (size_t j = 0; j < products.size(); ++j) products[j] = weights[j] * input_scale_[j];
  ErrorSums of_products;
  codes_->compare(row, products.data(), of_products);
  sums.wrong += of_products.wrong;
  decode(row, values.data());
  quant_kernels().compare_values(weights, values.data(), values.size(), sums);
}

void LoadedWeight::compare(int64_t row, const float* weights, ErrorSums& sums) const {
  if (!input_scale_.empty()) return compare_scaled(row, weights, sums);
  if (codes_) return codes_->compare(row, weights, sums);
  const DType stored = described_.scheme.info().stored;
  const auto count = static_cast<size_t>(columns_);
  thread_local std::vector<float> values;
  thread_local std::vector<std::byte> expected;
  values.resize(count);
  decode(row, values.data());
  quant_kernels().compare_values(weights, values.data(), count, sums);
  expected.resize(count * element_bytes(stored));
  from_f32_kernel(stored)(reinterpret_cast<const std::byte*>(weights), expected.data(), count);
  const std::byte* const found = values_.data() + static_cast<size_t>(row) * expected.size();
  if (!std::equal(expected.begin(), expected.end(), found)) ++sums.wrong;
}

}  // namespace mlc
