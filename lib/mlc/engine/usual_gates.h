// What two forms of one model may differ by where nobody said it: one rule for the verb that makes
// an ONNX model and the one that compares it.
#pragma once

#include "mlc/container/zip_reader.h"
#include "mlc/engine/verify.h"
#include "mlc/ir/graph.h"
#include "mlc/onnx_file/onnx_file.h"

#include <optional>

namespace mlc {

/// What one form does to numbers that the other does not, or both do each in its own way.
struct FormRounding {
  bool half = false;   // an ONNX model has weights in half precision, and the other form has not
  bool bytes = false;  // both round to bytes, each on an engine of its own
};

/// Makes GATES those of ROUNDING, unless somebody gave a tolerance, a cosine or an agreement.
void set_usual_gates(const FormRounding& rounding, VerifyGates& gates);

/// The type of half precision that most floating weights of FILE are stored in.
std::optional<DType> half_weights(const OnnxFile& file);

/// Whether a program rounds numbers to bytes with steps that are fixed in it.
bool rounds_to_bytes(const OnnxFile& file);
bool rounds_to_bytes(const ir::Graph& program);
/// Of TorchScript, by the text of its CODE. Errors: those of reading it.
Result<bool> rounds_to_bytes(const ZipReader& code);

}  // namespace mlc
