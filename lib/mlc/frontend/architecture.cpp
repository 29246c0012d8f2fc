#include "mlc/frontend/architecture.h"

#include "mlc/base/file.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/frontend/module_types.h"
#include "mlc/frontend/tree_builder.h"

#include <set>
#include <string_view>
#include <utility>

namespace mlc::arch {
namespace {

using yaml::Kind;
using yaml::Node;

constexpr const char* kExample =
    "an architecture begins with `mlc: architecture/1` and has `modules:` and `forward:`";

Status check_format(const Node& document) {
  if (document.kind() != Kind::mapping) {
    return document.error("an architecture must be a mapping, found " + document.describe(),
                          kExample);
  }
  const Node* format = document.find("mlc");
  if (format == nullptr) return document.error("this YAML does not say its format", kExample);
  MLC_TRY(const std::string text, format->as_string());
  if (text == kArchitectureFormat) return {};
  if (!text.starts_with("architecture/")) {
    return format->error("expected architecture/1, found " + quoted(text, 60), kExample);
  }
  const Error error = format->error("this mlc reads architecture/1 only");
  return unsupported(error.message()).in_file(error.file());
}

Result<std::vector<PositionedText>> read_texts(const Node& document, std::string_view key) {
  std::vector<PositionedText> out;
  const Node* node = document.find(key);
  if (node == nullptr) return out;
  const auto add = [&out](const Node& item) -> Status {
    MLC_TRY(std::string text, item.as_string());
    const auto [line, column] = item.text_positions(1).front();
    out.push_back({std::move(text), {line, column}});
    return {};
  };
  if (node->kind() == Kind::scalar) {
    MLC_CHECK(add(*node));
    return out;
  }
  if (node->kind() != Kind::sequence) {
    return node->error(std::string(key) + " must be a list of texts, found " + node->describe());
  }
  for (const Node& item : node->items()) MLC_CHECK(add(item));
  return out;
}

void add_rows(const ScriptModule& module, std::vector<StateDictTensor>& out) {
  for (const ScriptTensor& one : module.parameters)
    out.push_back({one.path, one.dtype, one.shape, one.tied_to});
  for (const ScriptTensor& one : module.buffers) {
    if (one.persistent) out.push_back({one.path, one.dtype, one.shape, one.tied_to});
  }
  for (const ScriptModule& child : module.children) add_rows(child, out);
}

Status check_distinct(const Architecture& architecture, const std::vector<PositionedText>& names) {
  std::set<std::string_view> seen;
  for (const PositionedText& one : names) {
    if (seen.insert(one.text).second) continue;
    return architecture.error_at(one.position, "two outputs are called " + quoted(one.text));
  }
  return {};
}

}  // namespace

Result<Architecture> Architecture::parse(std::string text, const std::string& file) {
  if (text.size() > kMaxArchitectureBytes) {
    return unsupported("an architecture above 16 MB").in_file(file);
  }
  MLC_TRY(Node document, yaml::parse(std::move(text), file));
  MLC_CHECK(check_format(document));
  MLC_CHECK(document.only_keys({"mlc", "name", "inputs", "outputs", "parameters", "buffers",
                                "modules", "classes", "tie", "forward"}));
  Architecture out(document);
  if (const Node* name = document.find("name")) {
    MLC_TRY(out.name_, name->as_string());
  }
  MLC_TRY(out.inputs_, read_texts(document, "inputs"));
  MLC_TRY(out.outputs_, read_texts(document, "outputs"));
  MLC_CHECK(check_distinct(out, out.outputs_));
  TreeBuilder builder;
  MLC_CHECK(builder.declare(document.find("classes")));
  MLC_TRY(out.root_, builder.root(document));
  renorm_shared_weights(out.root_);
  return out;
}

Result<Architecture> Architecture::parse_file(const std::string& path) {
  MLC_TRY(const auto file, open_text_input(path));
  if (file->size() > kMaxArchitectureBytes) {
    return unsupported("an architecture above 16 MB").in_file(path);
  }
  MLC_TRY(std::string text, file->read_string(0, file->size()));
  return parse(std::move(text), path);
}

Error Architecture::error_at(Position position, std::string message, std::string hint) const {
  return document_.error_at(position.line, position.column, std::move(message), std::move(hint));
}

bool looks_like_architecture(std::string_view text) {
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with("mlc:")) continue;
    std::string_view value = trim(line.substr(4));
    if (value.starts_with('"') || value.starts_with('\'')) value.remove_prefix(1);
    return value.starts_with("architecture/");
  }
  return false;
}

std::vector<StateDictTensor> state_dict_of(const Architecture& architecture) {
  std::vector<StateDictTensor> out;
  add_rows(architecture.root(), out);
  return out;
}

}  // namespace mlc::arch
