#include "mlc/base/glob.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace mlc {
namespace {

// Bytes of the character at I; a byte that belongs to no UTF-8 sequence counts as one.
size_t length_at(std::string_view text, size_t i) {
  return std::max<size_t>(utf8_length(text.substr(i)), 1);
}

// The character of TEXT at I, which moves behind it. UTF-8 sorts as the code points do, so its
// bytes stand for it.
std::string_view next_character(std::string_view text, size_t& i) {
  const std::string_view out = text.substr(i, length_at(text, i));
  i += out.size();
  return out;
}

// Matches one character against the class that starts after '[' at P; sets P behind the ']'.
// Nothing if the class is never closed, in which case '[' is an ordinary character.
std::optional<bool> match_class(std::string_view pattern, size_t& p, std::string_view c) {
  size_t i = p + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool found = false;
  for (bool first = true; i < pattern.size(); first = false) {
    if (pattern[i] == ']' && !first) {
      p = i + 1;
      return found != negated;
    }
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const std::string_view low = next_character(pattern, i);
    std::string_view high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      ++i;
      high = next_character(pattern, i);
    }
    if (low <= c && c <= high) found = true;
  }
  return std::nullopt;
}

// Matches the pattern of one character at P against that of TEXT at T; moves both on on success.
bool match_one(std::string_view pattern, size_t& p, std::string_view text, size_t& t) {
  size_t behind = t;
  const std::string_view c = next_character(text, behind);
  if (pattern[p] == '?') {
    ++p;
    t = behind;
    return true;
  }
  if (pattern[p] == '[') {
    size_t end = p;
    if (const auto hit = match_class(pattern, end, c)) {
      if (!*hit) return false;
      p = end;
      t = behind;
      return true;
    }
  }
  const size_t literal = pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
  if (pattern[literal] != text[t]) return false;
  p = literal + 1;
  ++t;
  return true;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  std::optional<size_t> star;  // where to resume in the pattern after the last '*'
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
    } else if (p < pattern.size() && match_one(pattern, p, text, t)) {
      continue;
    } else if (star) {
      p = *star;
      star_text += length_at(text, star_text);
      t = star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace mlc
