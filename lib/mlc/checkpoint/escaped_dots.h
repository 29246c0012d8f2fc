// Paths join keys with dots, so a key with dots in it can look like a way through several.
#pragma once

#include <string>
#include <string_view>

namespace mlc {

/// KEY with a backslash before each of its dots: how a path names it where 'a' with 'b' in it and
/// 'a.b' are both there.
inline std::string with_escaped_dots(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '.') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace mlc
