// Expressions as Symbols::text() writes them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/scanner.h"
#include "mlc/ir/symbols.h"

namespace mlc::ir {

/// Reads as much as is an expression. Error: corrupt, pointing at the token.
Result<Expr> parse_expression(Scanner& scanner, Symbols& symbols);

}  // namespace mlc::ir
