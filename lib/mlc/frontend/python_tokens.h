// The tokens of a statement as Python's own reader sees them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct PythonToken {
  enum class Kind { name, number, text, sign, end };
  Kind kind = Kind::end;
  std::string_view text;
  size_t offset = 0;  // in the statement

  size_t end() const { return offset + text.size(); }
};

/// The tokens of CODE, a statement that may go over several lines, and one of Kind::end behind
/// them. Words like `and` are names. Nothing where CODE is no Python: a text that does not end, a
/// character that no token begins with. Views into CODE.
std::optional<std::vector<PythonToken>> python_tokens(std::string_view code);

/// Where the text in quotes that CODE has at BEGIN, in front of which no letters stand, ends; npos
/// where it does not. Quotes behind a backslash end nothing.
size_t end_of_text(std::string_view code, size_t begin);

}  // namespace mlc::arch
