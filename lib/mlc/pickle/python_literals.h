// The parts of Python's repr() that concern one float or str.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mlc::pickle {

/// repr() of a float: the shortest digits that give it back.
std::string python_float(double value);

/// repr() of a str in UTF-8 (lone surrogates and stray bytes are escaped), cut near LIMIT bytes
/// with
/// "..." behind the quote. Characters that a terminal might obey are escaped.
std::string python_text(std::string_view text, size_t limit = SIZE_MAX);

}  // namespace mlc::pickle
