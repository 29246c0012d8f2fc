// The walks that give tensors their names: state_dict.h and every_tensor.h.
#include "mlc/checkpoint/alike_keys.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <unordered_set>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxTreeDepth = 1000;

/// How a tensor is reached. Keys may print alike: 0 and "0" have one text, and two spellings.
struct Path {
  std::string text;
  uint64_t spelling = 0;  // as in NamedTensor
  unsigned steps = 0;
  std::string indexed;  // as in NamedTensor; empty for none

  Path below(const std::string& key, bool string = false) const {
    const uint64_t step = string ? 0 : uint64_t{1} << (steps % 64);
    return {join_path(text, key), spelling | step, steps + 1,
            indexed.empty() ? "" : join_path(indexed, key)};
  }
  /// Of a key that prints as another one of its mapping.
  Path below_alike(const std::string& key, bool string) const {
    Path out = below(key, string);
    out.indexed = join_path(indexed.empty() ? text : indexed, indexed_key(key, string));
    return out;
  }

  NamedTensor to(uint32_t tensor) const {
    auto alike = indexed.empty() ? nullptr : std::make_shared<const std::string>(indexed);
    return {text, tensor, spelling, std::move(alike)};
  }
};

/// Where PATH and KEY, one of those of which ALIKE says what prints alike, lead.
Path below(const Path& path, const Graph& graph, NodeId key, const AlikeKeys& alike) {
  const std::string text = key_text(graph, key);
  const bool string = is_string(graph, key);
  return alike.contains(text) ? path.below_alike(text, string) : path.below(text, string);
}

/// Whether a collection that several paths lead to is walked for each.
enum class Sharing : uint8_t { each, once };

class TreeWalk {
 public:
  /// STORAGE, if any, gives the tensor that a storage is shown as: then all is walked that
  /// every_tensor() promises.
  using StorageTensor = std::function<uint32_t(uint32_t storage)>;

  explicit TreeWalk(const Checkpoint& checkpoint, Sharing sharing = Sharing::each)
      : checkpoint_(checkpoint), reach_(checkpoint), enters_once_(sharing == Sharing::once) {}
  TreeWalk(const Checkpoint& checkpoint, StorageTensor storage)
      : checkpoint_(checkpoint),
        reach_(checkpoint),
        enters_once_(false),
        storage_(std::move(storage)) {}

  std::vector<NamedTensor> run(NodeId node, const Path& start = {}) {
    visit(node, start, 0);
    return std::move(out_);
  }

  std::vector<NamedTensor> run_attributes(NodeId tensor, const Path& start) {
    visit_attributes(tensor, start, 0);
    return std::move(out_);
  }

 private:
  bool everything() const { return storage_ != nullptr; }

  void visit(NodeId node, const Path& path, int depth) {
    const Graph& graph = checkpoint_.graph;
    if (const uint32_t tensor = checkpoint_.tensor_at(node); tensor != kNoIndex) {
      out_.push_back(path.to(tensor));
      if (everything()) visit_attributes(node, path, depth);
      return;
    }
    if (everything() && graph.is(node, NodeKind::persistent)) return visit_storage(node, path);
    if (depth > kMaxTreeDepth || !is_container(node) || !open_.insert(node).second) return;
    visit_members(node, path, depth);
    if (graph.is(node, NodeKind::object)) {
      if (everything())
        visit_call(node, path, depth);
      else
        visit_arguments(node, path, depth);
      const pickle::ObjectContent* content = graph.content(node);
      if (content != nullptr && content->state != kNoNode) visit(content->state, path, depth + 1);
    }
    if (!enters_once_) open_.erase(node);
    if (out_.size() > most_visits() || ++left_ > most_visits()) enters_once_ = true;
  }

  void visit_members(NodeId node, const Path& path, int depth) {
    const Graph& graph = checkpoint_.graph;
    if (const auto* entries = graph.entries(node)) {
      const AlikeKeys alike(graph, *entries);
      for (size_t i = 0; i < entries->size(); ++i) {
        const auto& [key, value] = (*entries)[i];
        if (everything() && !is_string(graph, key) && reach_.from(key)) {
          visit(key, path.below("{key " + std::to_string(i) + "}"), depth + 1);
          visit(value, path.below("{value " + std::to_string(i) + "}"), depth + 1);
        } else {
          visit(value, below(path, graph, key, alike), depth + 1);
        }
      }
    }
    const auto items = graph.sequence(node);
    for (size_t i = 0; i < items.size(); ++i) {
      visit(items[i], path.below(std::to_string(i)), depth + 1);
    }
    if (!graph.is(node, NodeKind::set) && !graph.is(node, NodeKind::frozenset)) return;
    const std::vector<NodeId>& members = graph.list(node);
    for (size_t i = 0; i < members.size(); ++i) {
      visit(members[i], path.below("{" + std::to_string(i) + "}"), depth + 1);
    }
  }

  /// What an object was made from.
  void visit_call(NodeId node, const Path& path, int depth) {
    const Graph& graph = checkpoint_.graph;
    visit(graph.callable(node), path.below("()"), depth + 1);
    visit_arguments(node, path, depth);
    const NodeId keywords = graph.keyword_args(node);
    if (keywords == kNoNode || graph.entries(keywords) == nullptr) return;
    for (const auto& [key, value] : *graph.entries(keywords)) {
      visit(value, path.below("(" + key_text(graph, key) + ")"), depth + 1);
    }
  }

  void visit_arguments(NodeId node, const Path& path, int depth) {
    const Graph& graph = checkpoint_.graph;
    const auto args = graph.sequence(graph.args(node));
    for (size_t i = 0; i < args.size(); ++i) {
      visit(args[i], path.below("(" + std::to_string(i) + ")"), depth + 1);
    }
  }

  void visit_attributes(NodeId tensor, const Path& path, int depth) {
    if (depth > kMaxTreeDepth) return;
    for (const NodeId attributes : tensor_attributes(checkpoint_, tensor)) {
      visit(attributes, path.below("__dict__"), depth + 1);
    }
  }

  void visit_storage(NodeId node, const Path& path) {
    const uint32_t storage = checkpoint_.storage_at(node);
    if (storage == kNoIndex) return;
    out_.push_back(path.to(storage_(storage)));
  }

  bool is_container(NodeId node) const {
    const NodeKind kind = checkpoint_.graph.kind(node);
    if (everything() && (kind == NodeKind::set || kind == NodeKind::frozenset)) return true;
    return kind == NodeKind::dict || kind == NodeKind::list || kind == NodeKind::tuple ||
           kind == NodeKind::object;
  }

  // A small graph can spell out an enormous tree ("billion laughs"). Real ones share a mapping a
  // few times at most: beyond this many visits for each node, a node is entered only once.
  static constexpr size_t kVisitsPerNode = 8;
  static constexpr size_t kFreeVisits = 10'000;

  size_t most_visits() const { return kFreeVisits + kVisitsPerNode * checkpoint_.graph.size(); }

  const Checkpoint& checkpoint_;
  TensorReach reach_;
  std::unordered_set<NodeId> open_;
  bool enters_once_;
  StorageTensor storage_;
  size_t left_ = 0;  // collections that were walked to their end
  std::vector<NamedTensor> out_;
};

/// Makes a storage a tensor of its own, once.
class StorageTensors {
 public:
  explicit StorageTensors(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  uint32_t operator()(uint32_t storage) {
    const auto [at, is_new] = made_.try_emplace(storage, kNoIndex);
    if (!is_new) return at->second;
    const Storage& stored = checkpoint_.storages[storage];
    const bool as_bytes = info(stored.dtype).kind == DTypeClass::quantized;
    Tensor tensor;
    tensor.storage = storage;
    tensor.dtype = as_bytes ? DType::u8 : stored.dtype;
    const int64_t size = as_bytes ? static_cast<int64_t>(stored.byte_size()) : stored.elements;
    const int64_t stride = 1;
    at->second = checkpoint_.add_tensor(tensor, Dims(&size, 1), Dims(&stride, 1));
    return at->second;
  }

 private:
  Checkpoint& checkpoint_;
  std::map<uint32_t, uint32_t> made_;
};

/// Where in the entries of STATE_DICT values stand that tensors_in_values() looks at, in order.
std::vector<uint32_t> positions_of_values(const Checkpoint& checkpoint, const StateDict& state_dict,
                                          const std::vector<Entry>& entries) {
  std::vector<uint32_t> positions;
  for (const StateDictEntry& other : state_dict.others) {
    if (is_module_key(other.key)) positions.push_back(other.position);
  }
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (!is_string(checkpoint.graph, entries[i].first)) positions.push_back(i);
  }
  std::sort(positions.begin(), positions.end());
  return positions;
}

void append(std::vector<NamedTensor> found, std::vector<NamedTensor>& out) {
  out.insert(out.end(), std::make_move_iterator(found.begin()),
             std::make_move_iterator(found.end()));
}

}  // namespace

std::vector<NamedTensor> all_tensors(const Checkpoint& checkpoint, NodeId node) {
  return TreeWalk(checkpoint).run(node);
}

std::vector<NamedTensor> tensors_in_values(const Checkpoint& checkpoint,
                                           const StateDict& state_dict) {
  std::vector<NamedTensor> out;
  const auto* entries = checkpoint.graph.entries(state_dict.node);
  if (entries == nullptr || state_dict.other_values == 0) return out;
  const AlikeKeys alike(checkpoint.graph, *entries);
  for (const uint32_t position : positions_of_values(checkpoint, state_dict, *entries)) {
    const auto& [key, value] = (*entries)[position];
    append(TreeWalk(checkpoint).run(value, below({}, checkpoint.graph, key, alike)), out);
  }
  return out;
}

void index_alike(std::vector<NamedTensor>& tensors) {
  for (NamedTensor& named : tensors) {
    if (named.indexed != nullptr) named.path = *named.indexed;
  }
}

uint64_t count_names(const Checkpoint& checkpoint, NodeId node) {
  return TreeWalk(checkpoint, Sharing::once).run(node).size();
}

std::vector<NamedTensor> every_tensor(Checkpoint& checkpoint, NodeId node) {
  return TreeWalk(checkpoint, StorageTensors(checkpoint)).run(node);
}

std::vector<NamedTensor> every_tensor_in_values(Checkpoint& checkpoint,
                                                const StateDict& state_dict) {
  std::vector<NamedTensor> out;
  const auto* at = checkpoint.graph.entries(state_dict.node);
  if (at == nullptr) return out;
  const std::vector<Entry> entries = *at;  // storages that become tensors add to the graph
  const AlikeKeys alike(checkpoint.graph, entries);
  const auto path_of = [&](NodeId key) { return below({}, checkpoint.graph, key, alike); };
  for (const StateDictEntry& entry : state_dict.entries) {
    const NodeId tensor = entries[entry.position].second;
    if (tensor_attributes(checkpoint, tensor).empty()) continue;
    const NodeId key = entries[entry.position].first;
    append(TreeWalk(checkpoint, StorageTensors(checkpoint)).run_attributes(tensor, path_of(key)),
           out);
  }
  for (const uint32_t position : positions_of_values(checkpoint, state_dict, entries)) {
    const auto& [key, value] = entries[position];
    append(TreeWalk(checkpoint, StorageTensors(checkpoint)).run(value, path_of(key)), out);
  }
  return out;
}

std::vector<NodeId> tensor_attributes(const Checkpoint& checkpoint, NodeId node) {
  struct Row {
    std::string_view module;
    std::string_view name;
    bool wraps;  // its first argument is a tensor that may have attributes too
  };
  // Each with the attributes as its fourth argument: torch/_tensor.py, torch/_utils.py.
  static constexpr Row kRows[] = {{"torch._tensor", "_rebuild_from_type_v2", false},
                                  {"torch.tensor", "_rebuild_from_type_v2", false},
                                  {"torch._utils", "_rebuild_parameter_with_state", true},
                                  {"torch._utils", "_rebuild_parameter", true}};
  constexpr size_t kAttributes = 3;
  const Graph& graph = checkpoint.graph;
  std::vector<NodeId> out;
  const uint32_t index = checkpoint.tensor_at(node);
  if (index == kNoIndex || checkpoint.tensors[index].kind == TensorKind::other) return out;
  for (bool wraps = true; wraps && graph.is(node, NodeKind::object);) {
    const auto is_called = [&](const Row& row) {
      return graph.is_global(graph.callable(node), row.module, row.name);
    };
    const Row* row = std::find_if(std::begin(kRows), std::end(kRows), is_called);
    if (row == std::end(kRows)) break;
    const auto args = graph.sequence(graph.args(node));
    const NodeId attributes = args.size() > kAttributes ? args[kAttributes] : kNoNode;
    const bool empty = attributes == kNoNode || graph.is(attributes, NodeKind::none) ||
                       (graph.entries(attributes) != nullptr && graph.entries(attributes)->empty());
    if (!empty) out.push_back(attributes);
    wraps = row->wraps && !args.empty();
    if (wraps) node = args[0];
  }
  return out;
}

bool TensorReach::from(NodeId node) {
  if (!is_built_) build();
  return node < reach_.size() && reach_[node];
}

void TensorReach::build() {
  is_built_ = true;
  const auto count = static_cast<NodeId>(checkpoint_.graph.size());
  reach_.assign(count, false);
  std::vector<std::pair<NodeId, NodeId>> parents;  // of each node, by node
  std::vector<NodeId> stack;
  std::vector<NodeId> children;
  for (NodeId node = 0; node < count; ++node) {
    children.clear();
    pickle::append_children(checkpoint_.graph, node, children);
    for (const NodeId child : children) parents.emplace_back(child, node);
    if (checkpoint_.tensor_at(node) == kNoIndex && checkpoint_.storage_at(node) == kNoIndex) {
      continue;
    }
    reach_[node] = true;
    stack.push_back(node);
  }
  std::sort(parents.begin(), parents.end());
  while (!stack.empty()) {
    const NodeId node = stack.back();
    stack.pop_back();
    auto at = std::lower_bound(parents.begin(), parents.end(), std::pair(node, NodeId{0}));
    for (; at != parents.end() && at->first == node; ++at) {
      if (reach_[at->second]) continue;
      reach_[at->second] = true;
      stack.push_back(at->second);
    }
  }
}

}  // namespace mlc
