// Operators whose results are known before the program runs: arithmetic on sizes, lists,
// properties of tensors. One table for each family.
#pragma once

#include "mlc/torch/capturer.h"

#include <span>
#include <string_view>

namespace mlc::torch_module {

/// Sets the outputs of the call. False: this is not a case for it, and nothing is set.
using Evaluator = Result<bool> (*)(Capturer& capturer, const Call& call);

struct EvaluatorRow {
  std::string_view name;      // "aten::add"
  std::string_view overload;  // "int"; "*": all
  Evaluator run;
};

std::span<const EvaluatorRow> number_evaluators();
std::span<const EvaluatorRow> container_evaluators();
std::span<const EvaluatorRow> tensor_evaluators();

/// Tries all rows for the operator. False: none of them has set the outputs.
Result<bool> evaluate(Capturer& capturer, const Call& call);

/// Notes what is in the tensor that CALL gave, where it is computed from sizes.
void follow_content(Capturer& capturer, const Call& call);

}  // namespace mlc::torch_module
