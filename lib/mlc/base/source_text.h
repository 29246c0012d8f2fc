// Errors that point into a text a person wrote: file:line:column, the line, a caret.
#pragma once

#include "mlc/base/error.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace mlc {

/// An error whose message is "LINE:COLUMN: MESSAGE" followed by the line itself and a caret under
/// the column, and whose file is FILE. LINE and COLUMN count from 1; a column beyond the line
/// points behind its last character. Long lines are cut around the caret.
Error error_at(ErrorKind kind, const std::string& file, std::string_view text, size_t line,
               size_t column, std::string message, std::string hint = {});

}  // namespace mlc
