#include "mlc/base/shell_word.h"

#include "mlc/base/text.h"

#include <algorithm>

namespace mlc {
namespace {

bool is_plain(char c) {
  constexpr std::string_view kMarks = "_-./:=@%+,";
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  // Bytes of UTF-8 mean nothing to a shell.
  return letter || (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos || (c & 0x80) != 0;
}

}  // namespace

std::string shell_word(std::string_view text) {
  std::string out;
  if (printable(text) != text) {
    for (const char c : text) {
      if (c == '\'' || c == '\\') out += '\\';
      out += c;
    }
    return "$'" + printable(out) + "'";
  }
  if (!text.empty() && std::ranges::all_of(text, is_plain)) return std::string(text);
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return "'" + out + "'";
}

}  // namespace mlc
