// Inputs of ONNX models that have a default: initializers that callers may exchange. What is
// changed for good cannot be exchanged any more.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/onnx_file/onnx_file.h"

#include <string>
#include <vector>

namespace mlc::cli {

/// NAMES, what Document::fix_overridable() of the model of these FACTS gave, are constants now: a
/// warning, but a detail of models whose version lists every initializer among the inputs.
void tell_of_defaults(const std::vector<std::string>& names, const OnnxFile& facts,
                      Reporter& reporter);

}  // namespace mlc::cli
