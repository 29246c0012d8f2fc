// `mlc export-onnx --list-ops`: the operators that mlc can lower, or those of a model.
#pragma once

#include "command.h"
#include "mlc/ir/graph.h"
#include "mlc/onnx/lower_program.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlc::cli {

/// How often each operator is in PROGRAM, within its blocks too.
std::map<std::string, uint64_t> count_operators(const ir::Graph& program);

/// Every operator that mlc knows, with the opset it needs and how it fares in the tests.
ExitCode list_known_operators(Context& context);

/// Those of MODEL, and why some of them cannot be lowered, which gives `no`.
ExitCode list_operators_of(const std::string& model, const std::map<std::string, uint64_t>& counts,
                           const std::vector<onnx::Problem>& problems, Context& context);

}  // namespace mlc::cli
