#include "mlc/metadata/metadata.h"

#include "mlc/base/file.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/base/version.h"
#include "mlc/metadata/meta_yaml.h"
#include "mlc/metadata/metadata_rules.h"
#include "mlc/metadata/pep440.h"

#include <algorithm>
#include <charconv>

namespace mlc {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// Text that YAML reads as a number and that nobody meant as one: 4812e93 and 0123456 are short git
// hashes, which would come back as 4.812e+96 and 123456. Other ids are as short as 12e5, and YAML
// 1.1 (PyYAML) reads all of them as texts; a point or a sign (1.5e3, 1e-5) makes a number.
bool looks_like_an_identifier(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') || text.starts_with('+'));
  if (digits.size() > 1 && digits[0] == '0' && is_digits(digits)) return true;
  if (text.starts_with("0x") || text.starts_with("0o")) return true;
  const size_t e = text.find_first_of("eE");
  return e != text.npos && is_digits(text.substr(0, e)) && is_digits(text.substr(e + 1));
}

// Like MetaValue::from_yaml, but scalars where the format wants text are taken as written, and so
// are identifiers.
Result<MetaValue> read_value(const yaml::Node& node, MetaPath& path) {
  const bool scalar = node.kind() == yaml::Kind::scalar;
  const bool identifier = scalar && !node.is_quoted() && looks_like_an_identifier(node.scalar());
  if (identifier || (scalar && is_text_path(path))) return MetaValue(node.scalar());
  if (node.kind() == yaml::Kind::sequence) {
    MetaValue::List list;
    for (size_t i = 0; i < node.items().size(); ++i) {
      path.push_back(std::to_string(i));
      MLC_TRY(MetaValue value, read_value(node.items()[i], path));
      path.pop_back();
      list.push_back(std::move(value));
    }
    return MetaValue(std::move(list));
  }
  if (node.kind() == yaml::Kind::mapping) {
    MetaValue::Map map;
    for (const auto& [key, item] : node.entries()) {
      path.push_back(key);
      MLC_TRY(MetaValue value, read_value(item, path));
      path.pop_back();
      map.emplace_back(key, std::move(value));
    }
    return MetaValue(std::move(map));
  }
  return MetaValue::from_yaml(node);
}

std::optional<size_t> to_index(std::string_view part) {
  size_t index = 0;
  const char* end = part.data() + part.size();
  const auto [stop, code] = std::from_chars(part.data(), end, index);
  if (part.empty() || code != std::errc() || stop != end) return std::nullopt;
  return index;
}

// The error for PROBLEM, pointing into the text that ROOT was read from.
Error located(const MetaProblem& problem, const yaml::Node& root, ErrorKind kind) {
  yaml::Node node = root;
  yaml::Node parent = root;
  for (const std::string& part : problem.path) {
    parent = node;
    if (const yaml::Node* child = node.find(part)) {
      node = *child;
    } else if (const auto i = to_index(part); i && *i < node.items().size()) {
      node = node.items()[*i];
    }
  }
  Error error = problem.at_key
                    ? parent.key_error(problem.path.back(), problem.message, problem.hint)
                    : node.error(problem.message, problem.hint);
  const bool unsupported_format = problem.kind == ErrorKind::unsupported;
  return Error(unsupported_format ? problem.kind : kind, error.message(), error.hint())
      .in_file(error.file());
}

// The error for PROBLEM, naming the path.
Error named(const MetaProblem& problem) {
  const std::string where = join_path(problem.path);
  const bool show = !where.empty() && !problem.at_key;
  return Error(problem.kind, (show ? printable(where) + ": " : "") + problem.message, problem.hint);
}

const MetaValue* child_of(const MetaValue& value, std::string_view part) {
  if (const MetaValue* found = value.find(part)) return found;
  const auto index = to_index(part);
  const MetaValue::List* list = value.as_list();
  return list != nullptr && index && *index < list->size() ? &(*list)[*index] : nullptr;
}

MetaValue* child_of(MetaValue& value, std::string_view part) {
  return const_cast<MetaValue*>(child_of(std::as_const(value), part));
}

// The value at PATH below ROOT, made null if it was not there, with mappings on the way.
Result<MetaValue*> make_place(MetaValue& root, std::span<const std::string> path) {
  MetaValue* here = &root;
  for (size_t i = 0; i < path.size(); ++i) {
    if (MetaValue* child = child_of(*here, path[i])) {
      here = child;
      continue;
    }
    if (here->is_null()) {
      const bool is_list = i == 1 && path[0] == "requires";
      *here = is_list ? MetaValue(MetaValue::List()) : MetaValue(MetaValue::Map());
    }
    if (MetaValue::Map* map = here->as_map()) {
      here = &map->emplace_back(path[i], MetaValue()).second;
      continue;
    }
    const std::string above = printable(join_path(path.first(i)));
    MetaValue::List* list = here->as_list();
    if (list == nullptr) {
      return usage_error(
          "cannot set " + printable(join_path(path)) + ": " + above + " is " + here->describe(),
          "set " + above + " itself, or another key");
    }
    const auto index = to_index(path[i]);
    if (!index || *index != list->size()) {
      return usage_error("cannot set " + printable(join_path(path)) + ": " + above +
                             " is a list of " + plural(list->size(), "item"),
                         "add to it with " + above + "." + std::to_string(list->size()));
    }
    here = &list->emplace_back();
  }
  return here;
}

Status check_writable(const MetaPath& path) {
  if (path[0] != "mlc" && path[0] != "provenance") return {};
  return usage_error(quoted(path[0]) + " is written by mlc itself",
                     "put your own keys under \"custom\"");
}

void merge(MetaValue& mine, const MetaValue& theirs) {
  MetaValue::Map* map = mine.as_map();
  if (map == nullptr || theirs.as_map() == nullptr) {
    mine = theirs;
    return;
  }
  for (const auto& [key, value] : *theirs.as_map()) {
    if (MetaValue* existing = mine.find(key)) {
      merge(*existing, value);
    } else {
      map->emplace_back(key, value);
    }
  }
}

// Bytes that are not UTF-8 (a file name, say) cannot stand in YAML; they are told as \xNN.
MetaValue with_valid_text(MetaValue value) {
  if (const std::string* text = value.as_text(); text != nullptr && !is_utf8(*text)) {
    return printable(*text);
  }
  if (MetaValue::List* list = value.as_list()) {
    for (MetaValue& item : *list) item = with_valid_text(std::move(item));
  }
  if (MetaValue::Map* map = value.as_map()) {
    for (auto& [key, item] : *map) {
      if (!is_utf8(key)) key = printable(key);
      item = with_valid_text(std::move(item));
    }
  }
  return value;
}

/// Text for people is no YAML: "fix: head # 3" would become {fix: head} without a word.
Status refuse_accidents(std::string_view yaml, const yaml::Node& node) {
  constexpr const char* kHint = "quote a text for YAML too, as in 'PATH=\"fix: head\"'";
  const bool marked = yaml.find_first_of("{[\"'|>") == 0 || yaml.find('\n') != yaml.npos;
  if (marked) return {};
  if (yaml.starts_with('#') || yaml.find(" #") != yaml.npos)
    return usage_error("the value has a #, which begins a comment in YAML", kHint);
  if (node.kind() == yaml::Kind::mapping)
    return usage_error("the value is a mapping in YAML, for it has a colon and a space",
                       std::string(kHint) + "; a mapping is {fix: head}");
  return {};
}

}  // namespace

Metadata::Metadata() : root_(MetaValue::Map{{"mlc", kMetadataFormat}}) {}

Result<Metadata> Metadata::parse(std::string text, const std::string& file, ErrorKind kind) {
  if (text.size() > kMaxMetadataBytes) {
    return Error(kind, "the metadata is larger than " + format_bytes(kMaxMetadataBytes))
        .in_file(file);
  }
  MLC_TRY(const yaml::Node node, yaml::parse(std::move(text), file, kind));
  if (node.kind() != yaml::Kind::mapping) {
    return node.error("expected a mapping, found " + node.describe(),
                      "begin with the line \"mlc: metadata/1\"");
  }
  MetaPath path;
  MLC_TRY(MetaValue root, read_value(node, path));
  normalize_metadata(root);
  if (const auto problem = check_metadata(root)) return located(*problem, node, kind);
  return Metadata(std::move(root));
}

Result<Metadata> Metadata::parse_file(const std::string& path, ErrorKind kind) {
  MLC_TRY(const auto file, open_text_input(path));
  if (file->size() > kMaxMetadataBytes) {
    return Error(kind, "the metadata is larger than " + format_bytes(kMaxMetadataBytes))
        .in_file(path);
  }
  MLC_TRY(std::string text, file->read_string(0, file->size()));
  return parse(std::move(text), path, kind);
}

std::optional<std::string> Metadata::text_at(std::string_view key) const {
  const MetaValue* value = root_.find(key);
  if (value == nullptr || value->as_text() == nullptr) return std::nullopt;
  return *value->as_text();
}

std::optional<std::string> Metadata::framework(std::string_view part) const {
  const MetaValue* parts = root_.find("framework");
  const MetaValue* value = parts != nullptr ? parts->find(part) : nullptr;
  if (value == nullptr) return std::nullopt;
  return *value->as_text();
}

std::vector<std::string> Metadata::framework_doubts() const {
  static const std::vector<std::string> kKnown = {
      "torch", "torchvision",  "torchaudio",  "python", "cuda",      "cudnn",
      "numpy", "transformers", "safetensors", "onnx",   "lightning", "mlc"};
  std::vector<std::string> doubts;
  const MetaValue* parts = root_.find("framework");
  if (parts == nullptr || parts->as_map() == nullptr) return doubts;
  for (const auto& [name, value] : *parts->as_map()) {
    const std::string place = "framework." + printable(name);
    if (name == "name" || name == "version") {
      doubts.push_back(place +
                       ": each framework is a key of its own, with its version: "
                       "framework.torch: 2.1.0");
      continue;
    }
    const auto near = nearest(name, kKnown);
    if (near && *near != name) doubts.push_back(place + ": did you mean " + *near + "?");
    if (value.as_text() != nullptr && !Version::parse_lenient(*value.as_text()).ok()) {
      doubts.push_back(place + ": " + quoted(*value.as_text(), 60) +
                       " is no version that `mlc validate-version` can compare");
    }
  }
  return doubts;
}

std::vector<Requirement> Metadata::requirements() const {
  std::vector<Requirement> out;
  const MetaValue* list = root_.find("requires");
  if (list == nullptr) return out;
  for (const MetaValue& item : *list->as_list()) {
    auto parsed = Requirement::parse(*item.as_text());
    if (parsed.ok()) out.push_back(std::move(parsed).value());  // checked when it was adopted
  }
  return out;
}

bool Metadata::empty() const {
  return root_.as_map()->size() == 1;
}

const MetaValue* Metadata::get(std::string_view path) const {
  const auto parts = split_path(path);
  if (!parts.ok()) return nullptr;
  const MetaValue* here = &root_;
  for (const std::string& part : *parts) {
    if (here != nullptr) here = child_of(*here, part);
  }
  return here;
}

Status Metadata::set(std::string_view path, std::string_view yaml) {
  MLC_TRY(const MetaPath parts, split_path(path));
  // At the head of a document these are directives and marks, not values: `%d`, `---`.
  if (yaml.starts_with('%') || yaml == "---" || yaml == "...") {
    return set_value(path, MetaValue(std::string(yaml)));
  }
  auto node = yaml::parse(std::string(yaml), "value of " + printable(path));
  const bool other_form =
      node.ok() && ((parts[0] == "requires" && node->kind() == yaml::Kind::sequence) ||
                    (parts[0] == "architecture" && node->kind() == yaml::Kind::mapping));
  if (is_text_path(parts) && !other_form) {
    const bool unquote = node.ok() && node->kind() == yaml::Kind::scalar && node->is_quoted();
    return set_value(path, MetaValue(unquote ? node->scalar() : std::string(yaml)));
  }
  if (!node.ok()) return std::move(node).error();
  MLC_CHECK(refuse_accidents(yaml, *node));
  MetaPath where = parts;
  MLC_TRY(MetaValue value, read_value(*node, where));
  return set_value(path, std::move(value));
}

Status Metadata::set_value(std::string_view path, MetaValue value) {
  MLC_TRY(const MetaPath parts, split_path(path));
  MLC_CHECK(check_writable(parts));
  MetaValue root = root_;
  MLC_TRY(MetaValue* const place, make_place(root, parts));
  *place = with_valid_text(std::move(value));
  return adopt(std::move(root));
}

Result<bool> Metadata::remove(std::string_view path) {
  MLC_TRY(const MetaPath parts, split_path(path));
  MLC_CHECK(check_writable(parts));
  MetaValue* parent = &root_;
  for (size_t i = 0; i + 1 < parts.size() && parent != nullptr; ++i) {
    parent = child_of(*parent, parts[i]);
  }
  if (parent == nullptr || child_of(*parent, parts.back()) == nullptr) return false;
  if (MetaValue::Map* map = parent->as_map()) {
    std::erase_if(*map, [&](const auto& entry) { return entry.first == parts.back(); });
  } else {
    MetaValue::List* list = parent->as_list();
    list->erase(list->begin() + static_cast<std::ptrdiff_t>(*to_index(parts.back())));
  }
  return true;
}

void Metadata::merge_from(const Metadata& other) {
  MetaValue::List provenance;
  for (const Metadata* from : {static_cast<const Metadata*>(this), &other}) {
    const MetaValue* list = from->root_.find("provenance");
    if (list == nullptr) continue;
    provenance.insert(provenance.end(), list->as_list()->begin(), list->as_list()->end());
  }
  merge(root_, other.root_);
  if (!provenance.empty()) *root_.find("provenance") = std::move(provenance);
  normalize_metadata(root_);
}

void Metadata::append_provenance(const ProvenanceEntry& entry) {
  MetaValue::Map map = {{"verb", entry.verb}, {"mlc", mlc_version()}};
  if (!entry.input_sha256.empty()) map.emplace_back("input_sha256", entry.input_sha256);
  map.emplace_back("options", entry.options);
  if (root_.find("provenance") == nullptr) {
    root_.as_map()->emplace_back("provenance", MetaValue::List());
  }
  root_.find("provenance")->as_list()->push_back(with_valid_text(std::move(map)));
}

Status Metadata::adopt(MetaValue root) {
  normalize_metadata(root);
  if (const auto problem = check_metadata(root)) return named(*problem);
  root_ = std::move(root);
  return {};
}

std::string Metadata::to_yaml() const {
  std::string out;
  for (const auto& [key, value] : *root_.as_map()) {
    if (key != "provenance" || value.as_list()->empty()) {
      out += write_yaml_entry(key, value);
      continue;
    }
    out += key + ":\n";
    for (const MetaValue& entry : *value.as_list()) out += "  - " + write_yaml_flow(entry) + "\n";
  }
  return out;
}

Result<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '.') {
      parts.emplace_back();
      continue;
    }
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    parts.back() += path[i];
  }
  const bool empty_part =
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  if (empty_part) {
    return usage_error(quoted(path, 80) + " is not a path of keys",
                       "write it like training.metrics.top1");
  }
  return parts;
}

}  // namespace mlc
