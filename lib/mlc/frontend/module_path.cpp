#include "mlc/frontend/module_path.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>

namespace mlc::arch {
namespace {

std::string_view leading_name(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_name_char);
  return text.substr(0, static_cast<size_t>(end - text.begin()));
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The last one of ALIASES that has NAME, as within loops the innermost one counts.
const Alias* find_alias(std::string_view name, const std::vector<Alias>& aliases) {
  const auto alias = std::find_if(aliases.rbegin(), aliases.rend(),
                                  [name](const Alias& one) { return one.name == name; });
  return alias == aliases.rend() ? nullptr : &*alias;
}

/// Follows `[3]`, `[-1]`, `["key"]` or `[i]`; whether there was such an index.
bool follow_index(std::string_view text, const std::vector<Alias>& aliases, ModulePath& path) {
  const size_t close = text.find(']');
  if (!text.starts_with('[') || close == text.npos || !is_container(*path.module)) return false;
  const std::string_view index = trim(text.substr(1, close - 1));
  const ScriptModule* found = nullptr;
  if (const auto number = read_number(index, aliases)) {
    const auto count = static_cast<int64_t>(path.module->children.size());
    const int64_t from_start = *number < 0 ? *number + count : *number;
    path.counted = path.counted || !whole_number(index);
    if (from_start >= 0 && from_start < count) {
      found = &path.module->children[static_cast<size_t>(from_start)];
    }
  } else if (index.size() >= 2 && (index[0] == '"' || index[0] == '\'') &&
             index.back() == index[0]) {
    found = path.module->child(index.substr(1, index.size() - 2));
  } else {
    return false;
  }
  path.length += close + 1;
  path.changed = true;
  if (found == nullptr && path.counted) {
    // Of no consequence where a condition keeps the turn from it, and the compiler's to refuse.
    path.text = child_text(path.text, std::to_string(*read_number(index, aliases)));
    path.module = nullptr;
    return true;
  }
  if (found == nullptr) {
    path.bad_index = "index " + std::string(index) + " is outside of " +
                     (path.module->path.empty() ? "self" : path.module->path) + ", which has " +
                     plural(path.module->children.size(), "module");
    return true;
  }
  path.text = child_text(path.text, found->name);
  path.module = found;
  return true;
}

/// Follows `.name` where that is a child.
bool follow_attribute(std::string_view text, ModulePath& path) {
  if (!text.starts_with('.')) return false;
  const std::string_view name = leading_name(text.substr(1));
  const ScriptModule* found = path.module->child(name);
  if (name.empty() || found == nullptr) return false;
  path.length += 1 + name.size();
  path.text = child_text(path.text, found->name);
  path.module = found;
  return true;
}

}  // namespace

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_name_char(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
}

bool is_identifier(std::string_view text) {
  return !text.empty() && is_name_start(text[0]) &&
         std::all_of(text.begin(), text.end(), is_name_char);
}

bool is_container(const ScriptModule& module) {
  return module.type == "ModuleList" || module.type == "Sequential" || module.type == "ModuleDict";
}

std::optional<int64_t> read_number(std::string_view text, const std::vector<Alias>& aliases) {
  text = trim(text);
  if (const auto number = whole_number(text)) return number;
  const std::string_view name = leading_name(text);
  const Alias* alias = find_alias(name, aliases);
  if (name.empty() || alias == nullptr || alias->module != nullptr) return std::nullopt;
  const auto value = whole_number(alias->text);
  const std::string_view rest = trim(text.substr(name.size()));
  if (!value || rest.empty()) return value;
  if (rest[0] != '+' && rest[0] != '-') return std::nullopt;
  const auto more = whole_number(trim(rest.substr(1)));
  constexpr int64_t kMostAdded = 1'000'000;
  if (!more || *more < 0 || *more > kMostAdded) return std::nullopt;
  return rest[0] == '+' ? *value + *more : *value - *more;
}

std::string child_text(const std::string& base, const std::string& name) {
  if (is_name_start(name[0])) return base + "." + name;
  return "getattr(" + base + ", \"" + name + "\")";
}

std::optional<ModulePath> read_module_path(std::string_view text,
                                           const std::vector<Alias>& aliases) {
  const std::string_view name = leading_name(text);
  const Alias* alias = find_alias(name, aliases);
  if (alias == nullptr || alias->module == nullptr) return std::nullopt;
  ModulePath path{alias->text, alias->module, name.size(), alias->text != name, false, {}};
  while (path.bad_index.empty() && path.module != nullptr) {
    const std::string_view rest = text.substr(path.length);
    if (!follow_attribute(rest, path) && !follow_index(rest, aliases, path)) break;
  }
  return path;
}

}  // namespace mlc::arch
