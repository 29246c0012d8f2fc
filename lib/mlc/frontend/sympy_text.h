// Sizes as torch.export writes them: the text of sympy.srepr().
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/symbols.h"

#include <functional>
#include <optional>
#include <string_view>

namespace mlc {

/// Reads "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(-1))". SYMBOL
/// gives the expression of a name. Nothing where it holds a function that is none of integers
/// (division without rounding, powers with a symbol above): its value is known when it has run.
/// Error: corrupt for what is no such text.
Result<std::optional<ir::Expr>> parse_sympy(
    std::string_view text, ir::Symbols& symbols,
    const std::function<Result<ir::Expr>(std::string_view name)>& symbol);

}  // namespace mlc
