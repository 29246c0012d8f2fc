// What a file holds beside a state_dict: values_beside() of state_dict.h.
#include "mlc/checkpoint/escaped_dots.h"
#include "mlc/checkpoint/mapping_object.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/torch_objects.h"

#include <optional>
#include <set>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxTreeDepth = 1000;

/// What a collection has, as paths name it.
std::vector<std::pair<std::string, NodeId>> named_values(const Graph& graph, NodeId node) {
  std::vector<std::pair<std::string, NodeId>> out;
  if (const auto* entries = graph.entries(node)) {
    for (const auto& [key, value] : *entries) out.emplace_back(key_text(graph, key), value);
  }
  const auto items = graph.sequence(node);
  for (size_t i = 0; i < items.size(); ++i) out.emplace_back(std::to_string(i), items[i]);
  if (const NodeId argument = only_argument(graph, node); argument != kNoNode) {
    out.emplace_back("(0)", argument);
  }
  for (auto& attribute : attributes_beside(graph, node)) out.push_back(std::move(attribute));
  return out;
}

/// Whether the key of entry INDEX of the mapping at NODE is a text.
bool is_text_at(const Graph& graph, NodeId node, size_t index) {
  const auto* entries = graph.entries(node);
  return entries != nullptr && index < entries->size() && is_string(graph, (*entries)[index].first);
}

/// The paths of everything beside the way that PATH leads from NODE, which is at PLACE, down to
/// TARGET; nothing where it does not lead there.
std::optional<std::vector<std::string>> beside_way(const Graph& graph, NodeId node,
                                                   std::string_view path, NodeId target,
                                                   const std::string& place, int depth) {
  if (path.empty())
    return node == target ? std::optional(std::vector<std::string>()) : std::nullopt;
  if (depth > kMaxTreeDepth) return std::nullopt;
  const auto values = named_values(graph, node);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto& [name, value] = values[i];
    const bool ends = path == name;
    if (!ends && !(path.starts_with(name) && path.substr(name.size()).starts_with('.'))) continue;
    const auto inner = beside_way(graph, value, ends ? "" : path.substr(name.size() + 1), target,
                                  join_path(place, name), depth + 1);
    if (!inner) continue;
    std::vector<std::string> out;
    for (size_t k = 0; k < values.size(); ++k) {
      if (k == i)
        out.insert(out.end(), inner->begin(), inner->end());
      else if (values[k].first == name && graph.entries(node) != nullptr)
        out.push_back(join_path(place, indexed_key(name, is_text_at(graph, node, k))));
      else
        out.push_back(
            join_path(place, values[k].first == path ? with_escaped_dots(path) : values[k].first));
    }
    return out;
  }
  const auto* content = graph.is(node, NodeKind::object) ? graph.content(node) : nullptr;
  if (content == nullptr || content->state == kNoNode) return std::nullopt;
  return beside_way(graph, content->state, path, target, place, depth + 1);
}

}  // namespace

std::vector<std::string> module_tensors_beside(const Checkpoint& checkpoint,
                                               const StateDict& state_dict) {
  if (state_dict.module == kNoNode || state_dict.module == state_dict.node) return {};
  std::set<TensorIdentity> known;
  for (const StateDictEntry& entry : state_dict.entries) {
    known.insert(identity_of(checkpoint, checkpoint.tensors[entry.tensor]));
  }
  std::vector<std::string> out;
  for (const NamedTensor& named : all_tensors(checkpoint, state_dict.module)) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (!known.insert(identity_of(checkpoint, tensor)).second) continue;
    out.push_back(join_path(state_dict.path, named.path));
  }
  return out;
}

std::vector<std::string> values_beside(const Checkpoint& checkpoint, const StateDict& state_dict) {
  const Graph& graph = checkpoint.graph;
  std::vector<std::string> out;
  const NodeId stands = state_dict.module != kNoNode ? state_dict.module : state_dict.node;
  if (stands != checkpoint.root && state_dict.node != checkpoint.root) {
    auto beside = beside_way(graph, checkpoint.root, state_dict.printed, stands, "", 0);
    if (beside) {
      out = std::move(*beside);
    } else {  // under a key that is an empty text, which no path shows
      for (const auto& [name, value] : named_values(graph, checkpoint.root)) {
        if (value != stands) out.push_back(name);
      }
    }
  }
  for (std::string& path : module_tensors_beside(checkpoint, state_dict)) {
    out.push_back(std::move(path));
  }
  const auto* own = graph.entries(state_dict.node);
  if (own != nullptr && state_dict.other_values > 0) {
    for (const auto& [key, value] : *own) {
      if (!is_string(graph, key) || checkpoint.tensor_at(value) == kNoIndex) {
        out.push_back(join_path(state_dict.path, key_text(graph, key)));
      }
    }
  }
  for (const auto& [name, value] : attributes_beside(graph, state_dict.node)) {
    out.push_back(join_path(state_dict.path, name));
  }
  for (const uint32_t record : checkpoint.extra_records) {
    const ZipReader& zip = checkpoint.archives[0];
    const std::string_view name = zip.relative_name(zip.entries()[record]);
    // Folders, as `zip -r` makes entries of them, hold nothing.
    if (!name.empty() && !name.ends_with('/')) out.push_back("record " + std::string(name));
  }
  return out;
}

}  // namespace mlc
