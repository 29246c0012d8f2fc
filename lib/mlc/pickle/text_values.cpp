#include "mlc/pickle/text_values.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

namespace mlc::pickle {
namespace {

constexpr size_t kMaxDigits = 4000;

bool is_surrogate_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  return text.size() >= 3 && byte(0) == 0xED && byte(1) >= 0xA0 && byte(1) <= 0xBF &&
         (byte(2) & 0xC0U) == 0x80;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0U | code >> 6U);
  } else if (code < 0x10000) {
    put(0xE0U | code >> 12U);
    put(0x80U | (code >> 6U & 0x3FU));
  } else {
    put(0xF0U | code >> 18U);
    put(0x80U | (code >> 12U & 0x3FU));
    put(0x80U | (code >> 6U & 0x3FU));
  }
  put(0x80U | (code & 0x3FU));
}

std::optional<uint32_t> parse_hex(std::string_view digits) {
  uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Magnitude of a decimal number as little-endian bytes, with a zero sign byte at the end.
std::string decimal_to_bytes(std::string_view digits) {
  std::string out;
  for (const char digit : digits) {
    auto carry = static_cast<uint32_t>(digit - '0');
    for (char& byte : out) {
      const uint32_t value = static_cast<unsigned char>(byte) * 10U + carry;
      byte = static_cast<char>(value & 0xFFU);
      carry = value >> 8U;
    }
    if (carry != 0) out += static_cast<char>(carry);
  }
  return out + '\0';
}

void negate(std::string& bytes) {
  uint32_t carry = 1;
  for (char& byte : bytes) {
    const uint32_t value =
        (~static_cast<uint32_t>(static_cast<unsigned char>(byte)) & 0xFFU) + carry;
    byte = static_cast<char>(value & 0xFFU);
    carry = value >> 8U;
  }
}

// The character that a one-letter escape stands for, or 0.
char simple_escape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return '\0';
  }
}

}  // namespace

bool is_python_utf8(std::string_view text) {
  if (is_utf8(text)) return true;
  while (!text.empty()) {
    const size_t length = is_surrogate_sequence(text) ? 3 : utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<std::variant<int64_t, std::string>> parse_integer(std::string_view text) {
  int64_t small = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), small);
  const bool whole = !text.empty() && end == text.data() + text.size();
  if (error == std::errc() && whole) return small;
  if (error != std::errc::result_out_of_range || !whole || text.size() > kMaxDigits) {
    return std::nullopt;
  }
  const bool negative = text.starts_with('-');
  std::string bytes = decimal_to_bytes(text.substr(negative ? 1 : 0));
  if (negative) negate(bytes);
  return bytes;
}

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range)
    return std::strtod(std::string(text).c_str(), nullptr);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::string> parse_quoted_string(std::string_view text) {
  if (text.size() < 2 || text.front() != text.back()) return std::nullopt;
  if (text.front() != '\'' && text.front() != '"') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (const char c = simple_escape(text[i]); c != '\0') {
      out += c;
    } else if (text[i] == 'x' && i + 2 < text.size()) {
      const auto value = parse_hex(text.substr(i + 1, 2));
      if (!value) return std::nullopt;
      out += static_cast<char>(*value);
      i += 2;
    } else {
      out += '\\';
      out += text[i];
    }
  }
  return out;
}

std::optional<std::string> parse_raw_unicode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digits = text.substr(i).starts_with("\\u")   ? 4
                          : text.substr(i).starts_with("\\U") ? 8
                                                              : 0;
    if (digits == 0) {
      append_utf8(out, static_cast<unsigned char>(text[i]));
      // A backslash that begins no escape takes the next character with it, as in CPython.
      if (text[i] == '\\' && i + 1 < text.size()) {
        append_utf8(out, static_cast<unsigned char>(text[++i]));
      }
      continue;
    }
    if (text.size() - i < 2 + digits) return std::nullopt;
    const auto code = parse_hex(text.substr(i + 2, digits));
    if (!code || *code > 0x10FFFF) return std::nullopt;
    append_utf8(out, *code);
    i += 1 + digits;
  }
  return out;
}

std::string latin1_to_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

std::optional<std::string> utf8_to_latin1(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (byte(i) < 0x80) {
      out += text[i];
      continue;
    }
    const bool two_bytes = (byte(i) == 0xC2 || byte(i) == 0xC3) && i + 1 < text.size() &&
                           (byte(i + 1) & 0xC0U) == 0x80;
    if (!two_bytes) return std::nullopt;
    out += static_cast<char>((byte(i) & 0x03U) << 6U | (byte(i + 1) & 0x3FU));
    ++i;
  }
  return out;
}

std::string_view shortest_integer(std::string_view bytes) {
  while (bytes.size() > 1) {
    const bool next_negative = bytes[bytes.size() - 2] < 0;
    if (bytes.back() != (next_negative ? '\xFF' : '\0')) break;
    bytes.remove_suffix(1);
  }
  return bytes;
}

std::string big_integer_to_decimal(std::string_view bytes) {
  std::string magnitude(bytes);
  const bool negative = !bytes.empty() && bytes.back() < 0;
  if (negative) negate(magnitude);
  std::vector<char> digits;  // least significant first
  while (std::any_of(magnitude.begin(), magnitude.end(), [](char c) { return c != 0; })) {
    uint32_t rest = 0;
    for (auto it = magnitude.rbegin(); it != magnitude.rend(); ++it) {
      const uint32_t value = rest << 8U | static_cast<unsigned char>(*it);
      *it = static_cast<char>(value / 10);
      rest = value % 10;
    }
    digits.push_back(static_cast<char>('0' + rest));
  }
  if (digits.empty()) return "0";
  if (negative) digits.push_back('-');
  return std::string(digits.rbegin(), digits.rend());
}

}  // namespace mlc::pickle
