#include "diff/diff_metadata.h"

#include "mlc/base/text.h"

#include <string_view>

namespace mlc::cli {
namespace {

std::string escaped(std::string_view key) {
  std::string text;
  for (const char c : key) {
    if (c == '.' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

void compare_metadata(const MetaValue* a, const MetaValue* b, const std::string& path,
                      std::vector<MetadataDifference>& out) {
  const MetaValue::Map* map_a = a != nullptr ? a->as_map() : nullptr;
  const MetaValue::Map* map_b = b != nullptr ? b->as_map() : nullptr;
  if (map_a == nullptr || map_b == nullptr) {
    if (a == nullptr || b == nullptr || !(*a == *b)) out.push_back({path, a, b});
    return;
  }
  const auto below = [&path](std::string_view key) {
    return path.empty() ? escaped(key) : path + "." + escaped(key);
  };
  for (const auto& [key, value] : *map_a) {
    if (path.empty() && key == "provenance") continue;
    compare_metadata(&value, b->find(key), below(key), out);
  }
  for (const auto& [key, value] : *map_b) {
    if (path.empty() && key == "provenance") continue;
    if (a->find(key) == nullptr) compare_metadata(nullptr, &value, below(key), out);
  }
}

}  // namespace

std::vector<MetadataDifference> diff_metadata(const MetaValue* a, const MetaValue* b) {
  std::vector<MetadataDifference> out;
  compare_metadata(a, b, "", out);
  return out;
}

std::string brief_value(const MetaValue& value) {
  constexpr size_t kMost = 60;
  std::string line;
  const std::string json = value.to_json();
  for (const std::string_view part : split(json, '\n')) {
    if (!line.empty()) line += ' ';
    line += trim(part);
  }
  return line.size() <= kMost ? printable(line) : printable(line.substr(0, kMost)) + "...";
}

}  // namespace mlc::cli
