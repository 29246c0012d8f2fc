// The resolution rules of YAML 1.2.2, section 10.3.2 (core schema).
#include "mlc/yaml/document.h"

#include <algorithm>
#include <array>

namespace mlc::yaml {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_octal_digit(char c) {
  return c >= '0' && c <= '7';
}
bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

template <size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Takes leading digits off TEXT and returns how many there were.
size_t take_digits(std::string_view& text) {
  const size_t count =
      static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
  text.remove_prefix(count);
  return count;
}

bool is_integer(std::string_view text) {
  if (text.starts_with("0o")) {
    return text.size() > 2 && std::all_of(text.begin() + 2, text.end(), is_octal_digit);
  }
  if (text.starts_with("0x")) {
    return text.size() > 2 && std::all_of(text.begin() + 2, text.end(), is_hex_digit);
  }
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_number(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kNan = {".nan", ".NaN", ".NAN"};
  static constexpr std::array<std::string_view, 3> kInf = {".inf", ".Inf", ".INF"};
  if (is_one_of(text, kNan)) return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (is_one_of(text, kInf)) return true;
  size_t digits = take_digits(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    digits += take_digits(text);
  }
  if (digits == 0) return false;
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (take_digits(text) == 0) return false;
  }
  return text.empty();
}

}  // namespace

PlainType plain_type(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
  static constexpr std::array<std::string_view, 6> kBoolean = {"true",  "True",  "TRUE",
                                                               "false", "False", "FALSE"};
  if (is_one_of(text, kNull)) return PlainType::null;
  if (is_one_of(text, kBoolean)) return PlainType::boolean;
  if (is_integer(text)) return PlainType::integer;
  if (is_number(text)) return PlainType::number;
  return PlainType::string;
}

}  // namespace mlc::yaml
