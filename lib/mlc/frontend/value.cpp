#include "mlc/frontend/value.h"

#include "mlc/base/text.h"

#include <cmath>

#include <fmt/format.h>

namespace mlc::arch {
namespace {

std::string literal(bool value) {
  return value ? "True" : "False";
}

std::string literal(int64_t value) {
  return value == kNoneInList ? "None" : std::to_string(value);
}

// The shortest text that reads back as the same double, always recognisable as a float.
std::string literal(double value) {
  if (std::isnan(value)) return "float('nan')";
  if (std::isinf(value)) return value > 0 ? "float('inf')" : "float('-inf')";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string literal(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

template <class T>
std::string literal(const std::vector<T>& items) {
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? ", " : "") + literal(item);
  return out + "]";
}

}  // namespace

std::string python_literal(const Value& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>)
          return "None";
        else
          return literal(held);
      },
      value);
}

std::string describe(const Value& value) {
  static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                           "a string", "a list",    "a list",     "a list"};
  return kNames[value.index()];
}

std::string shown(const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return "null";
  if (const auto* text = std::get_if<std::string>(&value)) return quoted(*text, 60);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  constexpr size_t kLongest = 60;
  const std::string literal = printable(python_literal(value));
  return literal.size() <= kLongest ? literal : literal.substr(0, kLongest) + "...";
}

}  // namespace mlc::arch
