#include "mlc/pickle/python_literals.h"

#include "mlc/base/text.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace mlc::pickle {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, std::string_view prefix, uint32_t value, int digits) {
  out += prefix;
  for (int i = digits - 1; i >= 0; --i) out += kHex[value >> (4 * i) & 0xFU];
}

std::string_view letter_escape(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      return {};
  }
}

// Appends the character that TEXT begins with and returns its length.
size_t append_character(std::string& out, std::string_view text, char quote) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (const auto escape = letter_escape(text[0]); !escape.empty()) return out += escape, 1;
  if (text[0] == quote) return out.append(1, '\\').append(1, quote), 1;
  const size_t length = utf8_length(text);
  const bool surrogate = length == 0 && text.size() >= 3 && byte(0) == 0xED;
  if (surrogate) {
    append_hex(out, "\\u", 0xD000U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU), 4);
    return 3;
  }
  if (length == 0 || byte(0) < 0x20 || byte(0) == 0x7F) {
    append_hex(out, "\\x", byte(0), 2);
    return 1;
  }
  if (length == 2 && byte(0) == 0xC2 && byte(1) < 0xA0) {  // U+0080 to U+009F: controls
    append_hex(out, "\\x", byte(1), 2);
    return 2;
  }
  out += text.substr(0, length);
  return length;
}

}  // namespace

std::string python_text(std::string_view text, size_t limit) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  size_t at = 0;
  while (at < text.size() && at < limit) at += append_character(out, text.substr(at), quote);
  out += quote;
  return at < text.size() ? out + "..." : out;
}

// Python writes an exponent below 1e-4 and from 1e16 on, and ".0" behind what looks like an int.
std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char raw[32];
  const auto scientific =
      std::to_chars(raw, raw + sizeof raw, value, std::chars_format::scientific);
  const std::string_view text(raw, static_cast<size_t>(scientific.ptr - raw));
  const size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  if (value != 0 && (exponent < -4 || exponent >= 16)) return std::string(text);
  char fixed[64];
  const auto end = std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr;
  std::string out(fixed, end);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

}  // namespace mlc::pickle
