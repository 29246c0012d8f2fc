// Shell patterns for tensor keys.
#pragma once

#include <string>
#include <string_view>

namespace mlc {

/// A pattern, glob or regular expression, that matched nothing.
struct UnusedPattern {
  std::string option;  // "--exclude"
  std::string text;
};

/// Whether all of TEXT matches PATTERN: `*` any run (dots included), `?` one character (of UTF-8),
/// `[a-z]` and
/// `[!a-z]` classes, `\` quotes the next character. Linear in practice, O(len * len) at worst.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace mlc
