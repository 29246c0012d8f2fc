// What --op-map says, beside what ONNX and the program have.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/onnx/op_map.h"

#include <cstdint>
#include <map>
#include <string>

namespace mlc::cli {

/// Whether ONNX has what MAP, read from FILE, makes in ONNX's own domain. Errors: usage.
Status check_op_map(const onnx::OpMap& map, const std::string& file);

/// Warns of rules for operators that are not among those of the program, COUNTS.
void warn_of_idle_rules(const onnx::OpMap& map, const std::map<std::string, uint64_t>& counts,
                        Reporter& reporter);

/// PROBLEM, which ONNX's checker has with a model that MAP made nodes of.
Error refused_map(Error problem, const std::string& file);

}  // namespace mlc::cli
