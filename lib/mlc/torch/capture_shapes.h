// What the sizes of an operator's results are by its rules, where numbers in lanes would not tell:
// (h + 2*padding - kernel)//stride + 1 looks like many other expressions.
#pragma once

#include "mlc/torch/capturer.h"

#include <optional>
#include <string_view>
#include <vector>

namespace mlc::torch_module {

using ExpectedSizes = std::vector<std::optional<ir::Expr>>;

/// Of the output number OUTPUT, lists of tensors counted one by one. Empty where there is no rule;
/// the lanes have the last word.
ExpectedSizes expected_sizes(Capturer& capturer, const Call& call, size_t output);

/// Whether the size of dimension DIM hangs on the values of tensors: of nonzero and the like.
bool hangs_on_values(Capturer& capturer, const Call& call, size_t dim);

/// The argument NAME of the node's schema, or null.
const Item* argument(const Call& call, std::string_view name);

}  // namespace mlc::torch_module
