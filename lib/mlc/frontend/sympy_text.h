// Sizes as torch.export writes them: the text of sympy.srepr().
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/symbols.h"

#include <functional>
#include <optional>
#include <string_view>

namespace mlc {

/// Reads "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(-1))". SYMBOL
/// gives the expression of a name. Real numbers are read where they are rounded:
/// "TruncToInt(Mul(Float('1.3', precision=53), ToFloat(Symbol('s77'))))". Nothing for what no
/// expression can say (a real number, powers with a symbol above, sums of three reals, which are
/// rounded otherwise in another order): its value is known when it has run. Error: corrupt for what
/// is no such text.
Result<std::optional<ir::Expr>> parse_sympy(
    std::string_view text, ir::Symbols& symbols,
    const std::function<Result<ir::Expr>(std::string_view name)>& symbol);

}  // namespace mlc
