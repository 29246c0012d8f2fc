#include "mlc/base/text.h"

#include "mlc/base/bytes.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What is not seen but changes how a line reads: marks and overrides of direction, separators of
// lines, characters without width (Unicode's categories Cf, Zl and Zp; from, to).
constexpr std::array<std::pair<uint32_t, uint32_t>, 13> kInvisible = {{{0xAD, 0xAD},
                                                                       {0x600, 0x605},
                                                                       {0x61C, 0x61C},
                                                                       {0x6DD, 0x6DD},
                                                                       {0x70F, 0x70F},
                                                                       {0x180E, 0x180E},
                                                                       {0x200B, 0x200F},
                                                                       {0x2028, 0x202E},
                                                                       {0x2060, 0x206F},
                                                                       {0xFEFF, 0xFEFF},
                                                                       {0xFFF9, 0xFFFB},
                                                                       {0x1D173, 0x1D17A},
                                                                       {0xE0000, 0xE007F}}};

/// The code point of TEXT's first LENGTH bytes, which are well-formed.
uint32_t code_point(std::string_view text, size_t length) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (length == 1) return lead;
  uint32_t code = lead & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  return code;
}

bool is_invisible(uint32_t code) {
  return std::ranges::any_of(kInvisible, [code](const auto& range) {
    return code >= range.first && code <= range.second;
  });
}

// Terminal-safe form of TEXT; QUOTES also escapes the double quote and the backslash.
std::string escape(std::string_view text, bool quotes) {
  std::string out;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const size_t length = utf8_length(text);
    // U+0080 to U+009F are control characters that some terminals obey.
    const bool c1 = length == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 0 || c < 0x20 || c == 0x7F || c1) {
      const size_t count = c1 ? 2 : 1;
      for (size_t i = 0; i < count; ++i) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      }
      text.remove_prefix(count);
      continue;
    }
    if (length > 1) {
      const uint32_t code = code_point(text, length);
      if (is_invisible(code)) {
        out += code > 0xFFFF ? fmt::format("\\U{:08x}", code) : fmt::format("\\u{:04x}", code);
        text.remove_prefix(length);
        continue;
      }
    }
    if (quotes && (c == '"' || c == '\\')) out += '\\';
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  static constexpr std::array<std::string_view, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000.0;
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_count(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string quoted(std::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  return '"' + escape(text.substr(0, limit), true) + (cut ? "...\"" : "\"");
}

std::string printable(std::string_view text) {
  return escape(text, false);
}

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if (lead == 0xE0 && second < 0xA0) return 0;  // overlong
  if (lead == 0xED && second > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && second < 0x90) return 0;  // overlong
  if (lead == 0xF4 && second > 0x8F) return 0;  // beyond U+10FFFF
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    // Headers and keys are ASCII nearly always: eight bytes at a time.
    while (text.size() >= 8 && (load_le<uint64_t>(text.data()) & 0x8080808080808080U) == 0) {
      text.remove_prefix(8);
    }
    if (text.empty()) return true;
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// Optimal string alignment distance, three rows.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  const size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit) return limit + 1;
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    size_t best = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
      best = std::min(best, row[j]);
    }
    if (best > limit) return limit + 1;
    std::swap(before, above);
    std::swap(above, row);
  }
  return std::min(above[b.size()], limit + 1);
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  const size_t limit = std::clamp<size_t>(word.size() / 3, 1, 3);
  size_t best = limit + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate, limit);
    if (distance >= std::max(word.size(), candidate.size())) continue;  // nothing in common
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::vector<std::string> printable_all(std::span<const std::string> texts) {
  std::vector<std::string> out;
  for (const std::string& text : texts) out.push_back(printable(text));
  return out;
}

std::string join_list(std::span<const std::string> items, size_t limit) {
  std::string out;
  // "and 1 more" would be longer than the item itself.
  const size_t shown = items.size() <= limit + 1 ? items.size() : limit;
  for (size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == items.size();
    if (i > 0) out += last ? " and " : ", ";
    out += items[i];
  }
  if (shown < items.size()) out += " and " + format_count(items.size() - shown) + " more";
  return out;
}

std::string plural(uint64_t count, std::string_view singular, std::string_view plural_form) {
  std::string out = format_count(count) + " ";
  if (count == 1) return out.append(singular);
  if (!plural_form.empty()) return out.append(plural_form);
  return out.append(singular).append("s");
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

bool natural_less(std::string_view a, std::string_view b) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const auto run = [](std::string_view text, size_t& at) {
      while (at + 1 < text.size() && text[at] == '0' && is_digit(text[at + 1])) ++at;
      const size_t begin = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string_view x = run(a, i);
    const std::string_view y = run(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a.size() - i < b.size() - j;
}

}  // namespace mlc
