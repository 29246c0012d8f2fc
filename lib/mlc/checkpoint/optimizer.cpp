#include "mlc/checkpoint/optimizer.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxDepth = 8;           // mappings around an optimizer in real files
constexpr size_t kMostEntries = 4096;  // larger mappings are state_dicts

constexpr std::array<std::string_view, 2> kFlatHeads = {"state.", "param_groups."};

// What torch.optim's algorithms keep of each parameter in its own shape.
constexpr std::array<std::string_view, 12> kMoments = {
    "exp_avg",    "exp_avg_sq", "max_exp_avg_sq", "exp_inf",  "momentum_buffer",
    "square_avg", "sum",        "acc_delta",      "grad_avg", "ax",
    "prev",       "step_size"};

bool is_moment(std::string_view field) {
  return std::ranges::find(kMoments, field) != kMoments.end();
}

/// Whether all keys are those of a flat state, some of its groups.
bool is_flat_optimizer(const Graph& graph, NodeId node) {
  const auto* entries = graph.entries(node);
  if (entries == nullptr) return false;
  bool has_groups = false;
  for (const auto& entry : *entries) {
    const auto key = graph.is(entry.first, NodeKind::text) ? split_flat_key(graph.text(entry.first))
                                                           : std::nullopt;
    if (!key) return false;
    has_groups |= key->head == kFlatHeads[1];
  }
  return has_groups;
}

class Search {
 public:
  explicit Search(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint), graph_(checkpoint.graph) {}

  std::vector<OptimizerState> run() {
    visit(checkpoint_.root, "", 0);
    return std::move(found_);
  }

 private:
  void visit(NodeId node, const std::string& path, int depth) {
    if (depth > kMaxDepth || !seen_.insert(node).second) return;
    if (is_optimizer(graph_, node)) return add(node, path);
    const std::string prefix = path.empty() ? "" : path + ".";
    if (const auto* entries = graph_.entries(node); entries && entries->size() <= kMostEntries) {
      for (const auto& [key, value] : *entries) {
        const bool text = graph_.is(key, NodeKind::text);
        visit(value, prefix + (text ? std::string(graph_.text(key)) : "?"), depth + 1);
      }
    }
    const auto items = graph_.sequence(node);
    if (items.size() > kMostEntries) return;
    for (size_t i = 0; i < items.size(); ++i) {
      visit(items[i], prefix + std::to_string(i), depth + 1);
    }
  }

  void add(NodeId node, const std::string& path) {
    if (is_flat_optimizer(graph_, node)) {
      found_.push_back({path, node, kNoNode, {}, true});
      return;
    }
    const auto groups = graph_.sequence(graph_.find(node, "param_groups"));
    found_.push_back({path, node, graph_.find(node, "state"),
                      std::vector<NodeId>(groups.begin(), groups.end()), false});
  }

  const Checkpoint& checkpoint_;
  const Graph& graph_;
  std::unordered_set<NodeId> seen_;
  std::vector<OptimizerState> found_;
};

/// Collects what an optimizer names, once each.
class Parameters {
 public:
  Parameters(const Graph& graph, const OptimizerState& optimizer)
      : graph_(graph), optimizer_(optimizer) {}

  std::vector<OptimizerParameter> run() {
    if (optimizer_.is_flat) {
      add_flat();
      return std::move(found_);
    }
    if (const auto* entries = graph_.entries(optimizer_.state)) {
      for (const auto& [id, state] : *entries) {
        if (graph_.is(id, NodeKind::integer)) by_number_[graph_.integer(id)] = state;
        if (graph_.is(id, NodeKind::text)) by_name_[graph_.text(id)] = state;
      }
    }
    for (const NodeId group : optimizer_.groups) add_group(group);
    if (const auto* entries = graph_.entries(optimizer_.state)) {
      for (const auto& entry : *entries) add(entry.first, entry.first, Repeat::same);
    }
    return std::move(found_);
  }

 private:
  enum class Repeat : uint8_t { same, counts };  // what a name that is there already means

  void add_flat() {
    for (const auto& [key, value] : *graph_.entries(optimizer_.node)) {
      const auto parts = split_flat_key(graph_.text(key));
      OptimizerParameter& parameter = found_[index_of(parts->name).first];
      if (is_moment(parts->field)) parameter.moments.push_back(value);
    }
  }

  void add_group(NodeId group) {
    const NodeId params = graph_.find(group, "params");
    const NodeId named = graph_.find(group, "param_names");
    using Nodes = std::span<const NodeId>;
    const Nodes ids = params == kNoNode ? Nodes() : graph_.sequence(params);
    const Nodes names = named == kNoNode ? Nodes() : graph_.sequence(named);
    const bool side_by_side = !names.empty() && names.size() == ids.size();
    for (size_t i = 0; i < names.size(); ++i) {
      add(names[i], side_by_side ? ids[i] : kNoNode, Repeat::counts);
    }
    for (const NodeId id : ids) add(id, id, side_by_side ? Repeat::same : Repeat::counts);
  }

  void add(NodeId name, NodeId id, Repeat repeat) {
    if (name == kNoNode || !graph_.is(name, NodeKind::text)) return;
    const auto [index, is_new] = index_of(graph_.text(name));
    if (!is_new && repeat == Repeat::same) return;
    OptimizerParameter& parameter = found_[index];
    if (!is_new) ++parameter.times;
    const NodeId state = state_of(id);
    const auto* entries = state == kNoNode ? nullptr : graph_.entries(state);
    if (entries == nullptr) return;
    for (const auto& [key, value] : *entries) {
      const bool text = graph_.is(key, NodeKind::text);
      if (text && is_moment(graph_.text(key))) parameter.moments.push_back(value);
    }
  }

  NodeId state_of(NodeId id) const {
    if (id == kNoNode) return kNoNode;
    if (graph_.is(id, NodeKind::integer)) {
      const auto it = by_number_.find(graph_.integer(id));
      return it == by_number_.end() ? kNoNode : it->second;
    }
    if (!graph_.is(id, NodeKind::text)) return kNoNode;
    const auto it = by_name_.find(graph_.text(id));
    return it == by_name_.end() ? kNoNode : it->second;
  }

  std::pair<size_t, bool> index_of(std::string_view name) {
    const auto [it, is_new] = index_.try_emplace(name, found_.size());
    if (is_new) found_.push_back({.name = std::string(name), .times = 1, .moments = {}});
    return {it->second, is_new};
  }

  const Graph& graph_;
  const OptimizerState& optimizer_;
  std::unordered_map<int64_t, NodeId> by_number_;
  std::unordered_map<std::string_view, NodeId> by_name_;
  std::unordered_map<std::string_view, size_t> index_;
  std::vector<OptimizerParameter> found_;
};

}  // namespace

std::optional<FlatKey> split_flat_key(std::string_view key) {
  for (const std::string_view head : kFlatHeads) {
    if (!key.starts_with(head)) continue;
    const size_t dot = key.rfind('.');
    if (dot <= head.size()) return std::nullopt;  // no name
    return FlatKey{head, key.substr(head.size(), dot - head.size()), key.substr(dot + 1)};
  }
  return std::nullopt;
}

bool is_optimizer(const Graph& graph, NodeId node) {
  const bool nested =
      graph.find(node, "param_groups") != kNoNode && graph.find(node, "state") != kNoNode;
  return nested || is_flat_optimizer(graph, node);
}

bool is_parameter_state(const Graph& graph, NodeId node) {
  const auto* entries = graph.entries(node);
  if (entries == nullptr || entries->empty()) return false;
  return std::ranges::all_of(*entries, [&](const auto& entry) {
    if (!graph.is(entry.first, NodeKind::text)) return false;
    const std::string_view field = graph.text(entry.first);
    return field == "step" || is_moment(field);
  });
}

bool may_be_parameter(const Checkpoint& checkpoint, const StateDictEntry& entry) {
  // What torch.nn's normalizations keep beside their parameters.
  static constexpr std::array<std::string_view, 3> kBuffers = {"running_mean", "running_var",
                                                               "num_batches_tracked"};
  const std::string_view leaf = entry.key.substr(entry.key.rfind('.') + 1);  // npos + 1 is 0
  if (std::ranges::find(kBuffers, leaf) != kBuffers.end()) return false;
  const Tensor& tensor = checkpoint.tensors[entry.tensor];
  const DTypeClass kind = info(tensor.dtype).kind;
  return tensor.kind != TensorKind::dense || kind == DTypeClass::floating ||
         kind == DTypeClass::complex;
}

std::set<std::vector<int64_t>> shapes_of_parameters(const Checkpoint& checkpoint,
                                                    const OptimizerState& optimizer) {
  const Graph& graph = checkpoint.graph;
  const auto* states = optimizer.is_flat ? nullptr : graph.entries(optimizer.state);
  if (states == nullptr) return {};
  std::unordered_map<int64_t, NodeId> by_number;
  for (const auto& [id, state] : *states) {
    if (graph.is(id, NodeKind::integer)) by_number[graph.integer(id)] = state;
  }
  const auto shape_of = [&](NodeId state) -> std::optional<std::vector<int64_t>> {
    const auto* entries = graph.entries(state);
    if (entries == nullptr) return std::nullopt;
    for (const auto& [key, value] : *entries) {
      const uint32_t tensor = checkpoint.tensor_at(value);
      const bool moment = graph.is(key, NodeKind::text) && is_moment(graph.text(key));
      if (!moment || tensor == kNoIndex) continue;
      const Dims sizes = checkpoint.sizes(checkpoint.tensors[tensor]);
      return std::vector<int64_t>(sizes.begin(), sizes.end());
    }
    return std::nullopt;
  };
  std::set<std::vector<int64_t>> shapes;
  for (const NodeId group : optimizer.groups) {
    const NodeId params = graph.find(group, "params");
    if (params == kNoNode) return {};
    for (const NodeId id : graph.sequence(params)) {
      const auto it =
          graph.is(id, NodeKind::integer) ? by_number.find(graph.integer(id)) : by_number.end();
      const auto shape = it != by_number.end() ? shape_of(it->second) : std::nullopt;
      if (!shape) return {};
      shapes.insert(*shape);
    }
  }
  return shapes;
}

std::vector<OptimizerState> find_optimizers(const Checkpoint& checkpoint) {
  return Search(checkpoint).run();
}

std::vector<OptimizerParameter> named_parameters(const Graph& graph,
                                                 const OptimizerState& optimizer) {
  return Parameters(graph, optimizer).run();
}

}  // namespace mlc
