#include "mlc/frontend/output_names.h"

#include <set>

namespace mlc {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

/// The tree that text like [1, {"type": ..., "context": ..., "children_spec": [...]}] holds.
json parse_text(const json& text) {
  if (!text.is_string()) return json();
  return json::parse(text.get_ref<const std::string&>(), nullptr, /*allow_exceptions=*/false);
}

const json* member(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

/// The names of the children of a node, where its context says them: the keys of a dictionary.
std::vector<std::string> keys_of(const json& node, size_t count) {
  std::vector<std::string> out;
  const json* context = member(node, "context");
  const json keys = context == nullptr ? json() : parse_text(*context);
  if (!keys.is_array() || keys.size() != count) return out;
  for (const json& key : keys) {
    if (!key.is_string() && !key.is_number_integer()) return {};
    out.push_back(key.is_string() ? key.get<std::string>() : key.dump());
  }
  return out;
}

bool walk(const json& node, const std::string& path, int depth, std::vector<std::string>& out) {
  const json* children = member(node, "children_spec");
  const json* type = member(node, "type");
  if (children == nullptr || !children->is_array() || type == nullptr || depth > kMaxDepth) {
    return false;
  }
  if (type->is_null()) {
    out.push_back(path.empty() ? "output" : path);
    return true;
  }
  const std::vector<std::string> keys = keys_of(node, children->size());
  for (size_t i = 0; i < children->size(); ++i) {
    const std::string prefix = path.empty() && keys.empty() ? "output" : path;
    const std::string name = keys.empty() ? std::to_string(i) : keys[i];
    if (!walk((*children)[i], prefix.empty() ? name : prefix + "." + name, depth + 1, out)) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> numbered(size_t count) {
  if (count == 1) return {"output"};
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) out.push_back("output." + std::to_string(i));
  return out;
}

}  // namespace

std::vector<std::string> output_names(const JsonPlace& graph_module, size_t count) {
  const json* calls = member(graph_module.value(), "module_call_graph");
  if (calls == nullptr || !calls->is_array() || calls->empty()) return numbered(count);
  const json* signature = member((*calls)[0], "signature");
  const json* text = signature == nullptr ? nullptr : member(*signature, "out_spec");
  const json spec = text == nullptr ? json() : parse_text(*text);
  std::vector<std::string> out;
  const bool read =
      spec.is_array() && spec.size() == 2 && walk(spec[1], "", 0, out) && out.size() == count;
  const std::set<std::string> distinct(out.begin(), out.end());
  return read && distinct.size() == count ? out : numbered(count);
}

}  // namespace mlc
