#include "mlc/compress/quantized_record.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <set>

namespace mlc {
namespace {

constexpr std::string_view kKey = "quantization";

MetaValue to_meta(const QuantizedTensor& tensor) {
  MetaValue::List shape;
  for (const int64_t size : tensor.shape) shape.emplace_back(size);
  MetaValue::Map map;
  map.emplace_back("scheme", tensor.scheme.text());
  map.emplace_back("dtype", info(tensor.dtype).torch);
  map.emplace_back("shape", std::move(shape));
  if (tensor.input_scale) map.emplace_back("input_scale", true);
  return map;
}

Error broken(std::string message) {
  return corrupt(std::move(message), "it is written by `mlc quantize`, never by hand")
      .during("metadata, " + std::string(kKey));
}

Result<std::vector<int64_t>> read_shape(const MetaValue* value) {
  if (value == nullptr || value->as_list() == nullptr) return broken("a tensor has no shape");
  std::vector<int64_t> shape;
  for (const MetaValue& size : *value->as_list()) {
    if (size.as_int() == nullptr || *size.as_int() < 0) return broken("a shape has a bad size");
    shape.push_back(*size.as_int());
  }
  const auto count = element_count(shape);
  if (shape.size() > kMaxRank || !count || *count == 0) {
    return broken("a shape is impossible: " + format_shape(shape));
  }
  return shape;
}

Result<QuantizedTensor> read_tensor(const std::string& name, const MetaValue& value) {
  QuantizedTensor out;
  out.name = name;
  const MetaValue* const scheme = value.find("scheme");
  const MetaValue* const dtype = value.find("dtype");
  if (scheme == nullptr || scheme->as_text() == nullptr || dtype == nullptr ||
      dtype->as_text() == nullptr) {
    return broken("a tensor has no scheme or no dtype");
  }
  auto parsed = parse_scheme(*scheme->as_text());
  if (!parsed.ok() || parsed->kind == SchemeKind::keep) {
    return broken("no such scheme: " + quoted(*scheme->as_text()));
  }
  out.scheme = *parsed;
  const auto type = dtype_from_torch(*dtype->as_text());
  if (!type || info(*type).kind != DTypeClass::floating) {
    return broken("no floating-point type: " + quoted(*dtype->as_text()));
  }
  out.dtype = *type;
  MLC_TRY(out.shape, read_shape(value.find("shape")));
  if (const MetaValue* const scaled = value.find("input_scale"); scaled != nullptr) {
    if (scaled->as_bool() == nullptr) return broken("input_scale is neither true nor false");
    out.input_scale = *scaled->as_bool();
    if (out.input_scale && !out.scheme.is_integer())
      return broken("a weight of " + out.scheme.text() + " has scales of inputs");
  }
  return out;
}

Result<QuantFormat> read_format(const MetaValue& record) {
  const MetaValue* const format = record.find("format");
  if (format == nullptr || format->as_text() == nullptr) return broken("there is no format");
  for (const QuantFormat one : {QuantFormat::plain, QuantFormat::compressed_tensors}) {
    if (*format->as_text() == to_string(one)) return one;
  }
  return unsupported("the weights are quantised in a format that this mlc does not know: " +
                     quoted(*format->as_text()));
}

}  // namespace

std::string_view to_string(QuantFormat format) {
  return format == QuantFormat::plain ? "plain" : "compressed-tensors";
}

MetaValue to_meta(const QuantizedRecord& record) {
  MetaValue::Map tensors;
  for (const QuantizedTensor& one : record.tensors) tensors.emplace_back(one.name, to_meta(one));
  MetaValue::Map out;
  out.emplace_back("format", to_string(record.format));
  out.emplace_back("tensors", std::move(tensors));
  return out;
}

Result<std::optional<QuantizedRecord>> quantized_record(const Metadata& metadata) {
  const MetaValue* const found = metadata.root().find(kKey);
  if (found == nullptr) return std::optional<QuantizedRecord>();
  QuantizedRecord out;
  MLC_TRY(out.format, read_format(*found));
  const MetaValue* const tensors = found->find("tensors");
  if (tensors == nullptr || tensors->as_map() == nullptr) return broken("there are no tensors");
  for (const auto& [name, value] : *tensors->as_map()) {
    MLC_TRY_CTX(QuantizedTensor tensor, read_tensor(name, value), "tensor " + sentence_key(name));
    tensor.scheme.words = out.format == QuantFormat::compressed_tensors;
    out.tensors.push_back(std::move(tensor));
  }
  return std::optional(std::move(out));
}

PartNames part_names(QuantFormat format, const QuantizedTensor& tensor) {
  const std::string& name = tensor.name;
  if (!tensor.scheme.is_integer()) return {name, "", "", "", ""};
  const bool packed = tensor.scheme.info().bits == 4 || format == QuantFormat::compressed_tensors;
  PartNames out{packed ? name + "_packed" : name, name + "_scale", "", "", ""};
  if (!tensor.scheme.symmetric) out.zero_point = name + "_zero_point";
  if (packed) out.shape = name + "_shape";
  if (tensor.input_scale) out.input_scale = name + "_input_scale";
  return out;
}

std::vector<int64_t> code_sizes(const QuantizedTensor& tensor) {
  const QuantLayout layout = layout_of(tensor.scheme, tensor.shape);
  const auto bytes = static_cast<int64_t>(layout.row_bytes());
  if (tensor.scheme.words) return {layout.rows, bytes / 4};
  if (layout.packed) return {layout.rows, bytes};
  return tensor.shape;
}

/// One scale a row has the rank of the weight, so that both can be multiplied as they are.
std::vector<int64_t> scale_sizes(const QuantizedTensor& tensor) {
  const QuantLayout layout = layout_of(tensor.scheme, tensor.shape);
  if (layout.packed || tensor.scheme.words || tensor.scheme.group != 0) {
    return {layout.rows, layout.groups};
  }
  std::vector<int64_t> sizes(tensor.shape.size(), 1);
  sizes[row_dimension(tensor.shape)] = layout.rows;
  return sizes;
}

std::vector<int64_t> input_scale_sizes(const QuantizedTensor& tensor) {
  return {layout_of(tensor.scheme, tensor.shape).columns};
}

DType code_dtype(const QuantScheme& scheme) {
  if (!scheme.is_integer()) return scheme.info().stored;
  if (scheme.words) return DType::i32;
  return scheme.symmetric && scheme.info().bits == 8 ? DType::i8 : DType::u8;
}

}  // namespace mlc
