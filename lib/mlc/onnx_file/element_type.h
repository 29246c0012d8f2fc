// The element types of ONNX (onnx.TensorProto.DataType): mlc's, and those that only ONNX has.
#pragma once

#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlc {

/// Nothing where mlc has no such type: strings, packed integers, codes that nobody knows.
std::optional<DType> dtype_from_onnx(int64_t code);

/// "f32", "string", "u4", or "type 99".
std::string onnx_type_name(int64_t code);

/// Bytes of COUNT elements as raw data; nothing where the type has no fixed size or the number is
/// too large.
std::optional<uint64_t> onnx_bytes(int64_t code, uint64_t count);

}  // namespace mlc
