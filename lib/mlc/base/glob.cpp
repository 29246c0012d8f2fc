#include "mlc/base/glob.h"

#include <cstddef>
#include <optional>

namespace mlc {
namespace {

// Matches one character against the class that starts after '[' at P; sets P behind the ']'.
// Nothing if the class is never closed, in which case '[' is an ordinary character.
std::optional<bool> match_class(std::string_view pattern, size_t& p, char c) {
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
    const char low = pattern[i++];
    char high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      high = pattern[i + 1];
      i += 2;
    }
    if (low <= c && c <= high) found = true;
  }
  return std::nullopt;
}

// Matches the single-character pattern at P against C; advances P on success.
bool match_one(std::string_view pattern, size_t& p, char c) {
  if (pattern[p] == '?') {
    ++p;
    return true;
  }
  if (pattern[p] == '[') {
    size_t end = p;
    if (const auto hit = match_class(pattern, end, c)) {
      if (*hit) p = end;
      return *hit;
    }
  }
  const size_t literal = pattern[p] == '\\' && p + 1 < pattern.size() ? p + 1 : p;
  if (pattern[literal] != c) return false;
  p = literal + 1;
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
    } else if (p < pattern.size() && match_one(pattern, p, text[t])) {
      ++t;
    } else if (star) {
      p = *star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace mlc
