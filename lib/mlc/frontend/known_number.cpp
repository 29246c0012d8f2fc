#include "mlc/frontend/known_number.h"

#include "mlc/base/text.h"

namespace mlc::arch {
namespace {

constexpr size_t kLongest = 200;  // each sign is one call deeper

/// An argument of the class that is an integer, `self.depth`, as the whole TEXT.
std::optional<int64_t> read_argument(std::string_view text, const std::vector<Alias>& aliases) {
  const auto path = read_module_path(text, aliases);
  if (!path || !path->bad_index.empty() || path->module == nullptr) return std::nullopt;
  const std::string_view rest = text.substr(path->length);
  for (const Constant& one : path->module->constants) {
    const auto* number = std::get_if<int64_t>(&one.value);
    if (number != nullptr && rest == "." + one.name) return *number;
  }
  return std::nullopt;
}

}  // namespace

bool leads_to_list(const std::optional<ModulePath>& path) {
  return path && path->bad_index.empty() && path->module != nullptr && is_container(*path->module);
}

std::optional<std::pair<size_t, size_t>> read_len(std::string_view rest,
                                                  const std::vector<Alias>& aliases) {
  if (!rest.starts_with("len(")) return std::nullopt;
  const auto path = read_module_path(rest.substr(4), aliases);
  if (!leads_to_list(path) || !rest.substr(4 + path->length).starts_with(')')) return std::nullopt;
  return std::pair(path->length + 5, path->module->children.size());
}

std::optional<int64_t> known_number(std::string_view text, const std::vector<Alias>& aliases) {
  text = trim(text);
  if (text.size() > kLongest) return std::nullopt;
  if (const auto number = read_number(text, aliases)) return number;
  if (const auto number = read_argument(text, aliases)) return number;
  const auto length = read_len(text, aliases);
  if (length && length->first == text.size()) return static_cast<int64_t>(length->second);
  const size_t sign = text.find_last_of("+-");
  if (sign == text.npos || sign == 0) return std::nullopt;
  const auto left = known_number(text.substr(0, sign), aliases);
  const auto right = known_number(text.substr(sign + 1), aliases);
  constexpr int64_t kLargest = 1'000'000'000;
  const auto small = [](int64_t number) { return number > -kLargest && number < kLargest; };
  if (!left || !right || !small(*left) || !small(*right)) return std::nullopt;
  return text[sign] == '+' ? *left + *right : *left - *right;
}

std::optional<bool> known_condition(std::string_view condition, const std::vector<Alias>& aliases) {
  using Compare = bool (*)(int64_t, int64_t);
  static constexpr std::pair<std::string_view, Compare> kOperators[] = {
      {"<=", [](int64_t a, int64_t b) { return a <= b; }},
      {">=", [](int64_t a, int64_t b) { return a >= b; }},
      {"==", [](int64_t a, int64_t b) { return a == b; }},
      {"!=", [](int64_t a, int64_t b) { return a != b; }},
      {"<", [](int64_t a, int64_t b) { return a < b; }},
      {">", [](int64_t a, int64_t b) { return a > b; }}};
  for (const auto& [name, compare] : kOperators) {
    const size_t at = condition.find(name);
    if (at == condition.npos) continue;
    const auto left = known_number(condition.substr(0, at), aliases);
    const auto right = known_number(condition.substr(at + name.size()), aliases);
    return left && right ? std::optional(compare(*left, *right)) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace mlc::arch
