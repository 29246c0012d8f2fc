// Whether the files in which a model's weights lie are there, whole, and where they may be.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_file/onnx_file.h"
#include "mlc/onnx_file/proto_reader.h"

#include <cstdint>
#include <span>
#include <string>

namespace mlc {

/// Adds what one entry of a TensorProto's external_data says. Error: corrupt for numbers that are
/// none.
Status add_external_entry(ProtoReader entry, OnnxExternal& out);

/// Looks at the size of each file that EXTERNAL names, beside the model at MODEL_PATH; reads none.
/// Returns the bytes of all of them. Errors name the tensor and the file: corrupt for a path that
/// leads out of the model's folder and for a place beyond the end, not_found.
Result<uint64_t> check_external_data(std::span<const OnnxExternal> external,
                                     const std::string& model_path);

}  // namespace mlc
