#include "mlc/ir/text_syntax.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

constexpr std::array<std::pair<ScalarKind, std::string_view>, 4> kScalars = {{
    {ScalarKind::integer, "int"},
    {ScalarKind::number, "float"},
    {ScalarKind::boolean, "boolean"},
    {ScalarKind::text, "string"},
}};

constexpr std::array<std::pair<ValueKind, std::string_view>, 3> kWeights = {{
    {ValueKind::parameter, "parameter"},
    {ValueKind::buffer, "buffer"},
    {ValueKind::constant, "constant"},
}};

template <class Table, class Key>
std::string_view name_in(const Table& table, Key key) {
  for (const auto& [one, name] : table) {
    if (one == key) return name;
  }
  return "?";
}

template <class Table>
auto key_in(const Table& table, std::string_view word)
    -> std::optional<typename Table::value_type::first_type> {
  for (const auto& [one, name] : table) {
    if (name == word) return one;
  }
  return std::nullopt;
}

}  // namespace

std::string_view scalar_name(ScalarKind kind) {
  return name_in(kScalars, kind);
}

std::optional<ScalarKind> scalar_from_name(std::string_view name) {
  return key_in(kScalars, name);
}

std::string_view weight_word(ValueKind kind) {
  return name_in(kWeights, kind);
}

std::optional<ValueKind> weight_from_word(std::string_view word) {
  return key_in(kWeights, word);
}

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

std::string string_text(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length == 0 || byte < 0x20 || byte == 0x7F || byte == '"' || byte == '\\') {
      out += fmt::format("\\x{:02x}", byte);
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out + "\"";
}

bool is_word_start(char c) {
  return is_word_char(c) && c != '.' && !(c >= '0' && c <= '9');
}

std::string word_text(std::string_view name) {
  const bool is_word = !name.empty() && is_word_start(name[0]) &&
                       std::all_of(name.begin(), name.end(), is_word_char);
  return is_word ? std::string(name) : string_text(name);
}

std::string value_text(std::string_view name) {
  const bool is_bare = !name.empty() && std::all_of(name.begin(), name.end(), is_word_char);
  return "%" + (is_bare ? std::string(name) : string_text(name));
}

std::optional<DType> dtype_from_brief(std::string_view name) {
  for (const DTypeInfo& row : dtype_table()) {
    if (row.brief == name) return row.dtype;
  }
  return std::nullopt;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string out = fmt::format("{}", value);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace mlc::ir
