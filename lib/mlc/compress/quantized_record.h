// What a file says of its quantised weights: the mapping `quantization` of the metadata.
//
//   quantization:
//     format: plain
//     tensors:
//       encoder.weight: {scheme: int8, dtype: float32, shape: [768, 768]}
//       decoder.weight: {scheme: int4, dtype: float32, shape: [768, 768], input_scale: true}
//
// Beside it stand the tensors that the weight became, under names that begin with its own
// (part_names()): the layout of compressed-tensors (docs of vllm-project/compressed-tensors), but
// that `plain` keeps codes of 8 bits under the weight's own name and those of 4 bits in bytes.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quant_scheme.h"
#include "mlc/metadata/metadata.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class QuantFormat : uint8_t {
  plain,  // weight = scale * (code - zero point) / input scale, in dtypes that any code can read
  compressed_tensors,  // pack-quantized: codes in words of 32 bits
};

struct QuantizedTensor {
  std::string name;          // the key that the weight had
  QuantScheme scheme;        // not keep
  DType dtype = DType::f32;  // of the weight
  std::vector<int64_t> shape;
  bool input_scale = false;  // columns were multiplied with what is stored beside them
};

struct QuantizedRecord {
  QuantFormat format = QuantFormat::plain;
  std::vector<QuantizedTensor> tensors;
};

/// The record as metadata has it.
MetaValue to_meta(const QuantizedRecord& record);
/// That of METADATA, if it has one. Errors: corrupt, unsupported for a format of a newer mlc.
Result<std::optional<QuantizedRecord>> quantized_record(const Metadata& metadata);

/// The names of the tensors that a weight called NAME becomes. Empty: there is none.
struct PartNames {
  std::string codes;
  std::string scale;
  std::string zero_point;
  std::string shape;
  std::string input_scale;
};
PartNames part_names(QuantFormat format, const QuantizedTensor& tensor);

/// The sizes of codes, scales and scales of inputs. Requires: an integer scheme.
std::vector<int64_t> code_sizes(const QuantizedTensor& tensor);
std::vector<int64_t> scale_sizes(const QuantizedTensor& tensor);
std::vector<int64_t> input_scale_sizes(const QuantizedTensor& tensor);
/// i8, u8 or, of words, i32.
DType code_dtype(const QuantScheme& scheme);

std::string_view to_string(QuantFormat format);

}  // namespace mlc
