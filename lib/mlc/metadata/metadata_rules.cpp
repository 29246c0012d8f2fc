#include "mlc/metadata/metadata_rules.h"

#include "mlc/base/text.h"
#include "mlc/metadata/metadata.h"

#include <algorithm>
#include <array>

namespace mlc {
namespace {

constexpr size_t kMaxKeyBytes = 256;

using Check = std::optional<MetaProblem> (*)(const MetaValue& value, const MetaPath& path);

MetaProblem wrong_type(const MetaPath& path, std::string_view wanted, const MetaValue& found,
                       std::string hint = {}) {
  return {path, "expected " + std::string(wanted) + ", found " + found.describe(), std::move(hint)};
}

MetaPath below(const MetaPath& path, std::string part) {
  MetaPath out = path;
  out.push_back(std::move(part));
  return out;
}

std::optional<MetaProblem> check_format(const MetaValue& value, const MetaPath& path) {
  if (value.as_text() == nullptr) return wrong_type(path, "text", value);
  if (*value.as_text() == kMetadataFormat) return std::nullopt;
  MetaProblem problem{path, "unknown format " + quoted(*value.as_text(), 60), {}};
  problem.hint = "this mlc reads " + std::string(kMetadataFormat);
  problem.kind = ErrorKind::unsupported;
  return problem;
}

std::optional<MetaProblem> check_text(const MetaValue& value, const MetaPath& path) {
  if (value.as_text() == nullptr) return wrong_type(path, "text", value);
  return std::nullopt;
}

std::optional<MetaProblem> check_map(const MetaValue& value, const MetaPath& path) {
  if (value.as_map() == nullptr) return wrong_type(path, "a mapping", value);
  return std::nullopt;
}

std::optional<MetaProblem> check_anything(const MetaValue&, const MetaPath&) {
  return std::nullopt;
}

std::optional<MetaProblem> check_framework(const MetaValue& value, const MetaPath& path) {
  if (auto problem = check_map(value, path)) return problem;
  for (const auto& [part, text] : *value.as_map()) {
    if (text.as_text() != nullptr) continue;
    return wrong_type(below(path, part), "the version as text", text,
                      text.is_null() ? "leave out what was not used" : "");
  }
  return std::nullopt;
}

std::optional<MetaProblem> check_requires(const MetaValue& value, const MetaPath& path) {
  if (value.as_list() == nullptr) {
    return wrong_type(path, "a list of requirements", value, "write it like [\"torch>=1.13,<3\"]");
  }
  for (size_t i = 0; i < value.as_list()->size(); ++i) {
    const MetaValue& item = (*value.as_list())[i];
    const MetaPath here = below(path, std::to_string(i));
    if (item.as_text() == nullptr) return wrong_type(here, "a requirement", item);
    auto parsed = Requirement::parse(*item.as_text());
    if (!parsed.ok()) return MetaProblem{here, parsed.error().message(), parsed.error().hint()};
  }
  return std::nullopt;
}

std::optional<MetaProblem> check_architecture(const MetaValue& value, const MetaPath& path) {
  if (value.as_text() != nullptr || value.as_map() != nullptr) return std::nullopt;
  return wrong_type(path, "the name of a file or a mapping", value);
}

std::optional<MetaProblem> check_provenance(const MetaValue& value, const MetaPath& path) {
  if (value.as_list() == nullptr) return wrong_type(path, "a list", value);
  for (size_t i = 0; i < value.as_list()->size(); ++i) {
    const MetaValue& entry = (*value.as_list())[i];
    const MetaPath here = below(path, std::to_string(i));
    if (entry.as_map() == nullptr) return wrong_type(here, "a mapping", entry);
    if (entry.find("verb") == nullptr) return MetaProblem{here, "the key \"verb\" is missing", {}};
    for (const char* key : {"verb", "mlc", "input_sha256"}) {
      const MetaValue* text = entry.find(key);
      if (text != nullptr && text->as_text() == nullptr) {
        return wrong_type(below(here, key), "text", *text);
      }
    }
  }
  return std::nullopt;
}

struct FieldRow {
  std::string_view key;
  Check check;
};
// In the order in which they are written.
constexpr FieldRow kFields[] = {
    {"mlc", check_format},        {"name", check_text},
    {"version", check_text},      {"framework", check_framework},
    {"requires", check_requires}, {"architecture", check_architecture},
    {"training", check_map},      {"quantization", check_map},
    {"custom", check_anything},   {"provenance", check_provenance},
};

size_t rank_of(std::string_view key) {
  const auto* row = std::find_if(std::begin(kFields), std::end(kFields),
                                 [&](const FieldRow& field) { return field.key == key; });
  return static_cast<size_t>(row - std::begin(kFields));
}

MetaProblem unknown_key(const std::string& key) {
  std::vector<std::string> names;
  for (const FieldRow& field : kFields) names.emplace_back(field.key);
  const auto guess = nearest(key, names);
  MetaProblem problem{{key}, "unknown key " + quoted(key, 60), {}};
  problem.hint =
      guess ? "did you mean " + quoted(*guess) + "?" : "put your own keys under \"custom\"";
  problem.at_key = true;
  return problem;
}

std::optional<MetaProblem> check_keys(const MetaValue& value, MetaPath& path) {
  if (const auto* list = value.as_list()) {
    for (size_t i = 0; i < list->size(); ++i) {
      path.push_back(std::to_string(i));
      if (auto problem = check_keys((*list)[i], path)) return problem;
      path.pop_back();
    }
  }
  if (value.as_map() == nullptr) return std::nullopt;
  for (const auto& [key, item] : *value.as_map()) {
    path.push_back(key);
    if (key.size() > kMaxKeyBytes) {
      MetaProblem problem{path, "a key of " + plural(key.size(), "byte") + " is too long", {}};
      problem.at_key = true;
      return problem;
    }
    if (auto problem = check_keys(item, path)) return problem;
    path.pop_back();
  }
  return std::nullopt;
}

// "*" matches any part.
constexpr std::array<std::string_view, 3> kTextPaths[] = {
    {"mlc"},
    {"name"},
    {"version"},
    {"framework", "*"},
    {"requires"},
    {"requires", "*"},
    {"architecture"},
    {"provenance", "*", "verb"},
    {"provenance", "*", "mlc"},
    {"provenance", "*", "input_sha256"},
};

}  // namespace

bool is_text_path(std::span<const std::string> path) {
  return std::any_of(std::begin(kTextPaths), std::end(kTextPaths), [&](const auto& pattern) {
    const auto length = static_cast<size_t>(
        std::find(pattern.begin(), pattern.end(), std::string_view()) - pattern.begin());
    if (length != path.size()) return false;
    return std::equal(path.begin(), path.end(), pattern.begin(),
                      [](const std::string& part, std::string_view wanted) {
                        return wanted == "*" || part == wanted;
                      });
  });
}

void normalize_metadata(MetaValue& root) {
  MetaValue::Map& map = *root.as_map();
  std::erase_if(map, [](const auto& entry) {
    return entry.second.is_null() && rank_of(entry.first) < std::size(kFields);
  });
  if (MetaValue* needs = root.find("requires"); needs != nullptr && needs->as_text() != nullptr) {
    *needs = MetaValue::List{*needs};
  }
  std::stable_sort(map.begin(), map.end(), [](const auto& a, const auto& b) {
    return rank_of(a.first) < rank_of(b.first);
  });
}

std::optional<MetaProblem> check_metadata(const MetaValue& root) {
  if (root.find("mlc") == nullptr) {
    return MetaProblem{{}, "the key \"mlc\" is missing", "begin with the line \"mlc: metadata/1\""};
  }
  for (const auto& [key, value] : *root.as_map()) {
    const size_t rank = rank_of(key);
    if (rank == std::size(kFields)) return unknown_key(key);
    if (auto problem = kFields[rank].check(value, {key})) return problem;
  }
  if (root.height() > yaml::kMaxDepth) {
    return MetaProblem{{}, "is nested more than " + plural(yaml::kMaxDepth, "level") + " deep", {}};
  }
  MetaPath path;
  return check_keys(root, path);
}

std::string join_path(std::span<const std::string> path) {
  std::string out;
  for (const std::string& part : path) {
    if (!out.empty()) out += '.';
    for (const char c : part) {
      if (c == '.' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace mlc
