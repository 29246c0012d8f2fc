// Numbers among the arguments of operators, as TorchScript takes them: it chooses the overload by
// the types of what it is given, knows no booleans among numbers, and no number where a tensor
// belongs.
#pragma once

#include "mlc/ir/graph.h"

#include <set>
#include <string>

#include <ATen/core/function_schema.h>
#include <c10/core/Scalar.h>
#include <c10/core/ScalarType.h>

namespace mlc::torch_module {

/// The arguments of NODE, which SCHEMA describes, that are numbers and have to become tensors:
/// booleans where an overload takes tensors, others where none takes numbers.
std::set<std::string> numbers_as_tensors(const ir::Node& node, const c10::FunctionSchema& schema);

/// The type of a tensor without dimensions that gives what NUMBER gives among the tensors of NODE:
/// a file does not keep that it was a number, whose type counts less than theirs.
c10::ScalarType promoting_type(const c10::Scalar& number, const ir::Node& node);

/// Whether NODE has to have its operands the other way round, which makes no difference to it:
/// TorchScript's optimizer cannot have a boolean as the second one.
bool puts_boolean_first(const ir::Node& node);

/// Whether the result of NODE has the type of a boolean among its numbers, which TorchScript takes
/// for an integer.
bool makes_booleans(const ir::Node& node);

}  // namespace mlc::torch_module
