#include "mlc/checkpoint/lower_tensors.h"

#include "mlc/base/text.h"
#include "mlc/pickle/traverse.h"

#include <unordered_map>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

class Lowering {
 public:
  explicit Lowering(Checkpoint& checkpoint) : checkpoint_(checkpoint), graph_(checkpoint.graph) {}

  Result<std::vector<uint32_t>> run();

 private:
  Status find_tensors();
  void reuse_words();
  NodeId word(std::string_view text);
  NodeId dims_node(Dims dims);
  NodeId ordered_dict();
  NodeId storage_reference(uint32_t storage, NodeId key);
  void lower(NodeId node);
  void unfold(NodeId wrapper);
  void number(NodeId persistent);
  bool is_current(NodeId reference, const Storage& storage, std::string_view key) const;

  Checkpoint& checkpoint_;
  Graph& graph_;
  std::vector<NodeId> tensor_nodes_;
  std::vector<NodeId> wrappers_;  // around tensors that have to be lowered
  std::unordered_map<std::string, NodeId> words_;
  std::unordered_map<uint32_t, NodeId> keys_;  // storage -> the text node of its new key
  std::vector<uint32_t> order_;
};

Status Lowering::find_tensors() {
  pickle::for_each_reachable(graph_, checkpoint_.root, [this](NodeId node) {
    if (graph_.is(node, NodeKind::tensor)) tensor_nodes_.push_back(node);
    if (is_wrapped_tensor(graph_, node) &&
        graph_.is(graph_.tuple(graph_.args(node))[0], NodeKind::tensor)) {
      wrappers_.push_back(node);
    }
  });
  for (const NodeId node : tensor_nodes_) {
    const Tensor& tensor = checkpoint_.tensors[graph_.tensor(node)];
    if (tensor.kind != TensorKind::dense || tensor.storage == kNoIndex) {
      return unsupported(
          "a " +
          std::string(tensor.detail == kNoIndex ? "meta" : checkpoint_.details[tensor.detail]) +
          " tensor cannot be written to this format");
    }
    Storage& storage = checkpoint_.storages[tensor.storage];
    if (tensor.dtype != storage.dtype || info(tensor.dtype).storage.empty()) storage.untyped = true;
  }
  return {};
}

// CPython has one object for each of these texts, so its pickles have one memo slot: continue with
// the nodes that are there.
void Lowering::reuse_words() {
  if (checkpoint_.storage_nodes.empty()) return;
  const auto items = graph_.sequence(graph_.persistent_id(checkpoint_.storage_nodes[0].first));
  for (const size_t at : {size_t{0}, size_t{3}}) {
    if (at < items.size() && graph_.is(items[at], NodeKind::text)) {
      words_.emplace(graph_.text(items[at]), items[at]);
    }
  }
}

NodeId Lowering::word(std::string_view text) {
  const auto [it, is_new] = words_.try_emplace(std::string(text), kNoNode);
  if (is_new) it->second = graph_.add_text(text);
  return it->second;
}

NodeId Lowering::dims_node(Dims dims) {
  std::vector<NodeId> items;
  items.reserve(dims.size());
  for (const int64_t dim : dims) items.push_back(graph_.add_integer(dim));
  return graph_.add_tuple(items);
}

NodeId Lowering::ordered_dict() {
  return graph_.add_object(pickle::ObjectForm::reduce,
                           graph_.add_global("collections", "OrderedDict"), graph_.empty_tuple());
}

NodeId Lowering::storage_reference(uint32_t index, NodeId key) {
  const Storage& storage = checkpoint_.storages[index];
  const NodeId type = storage.untyped ? graph_.add_global("torch.storage", "UntypedStorage")
                                      : graph_.add_global("torch", info(storage.dtype).storage);
  const auto count = storage.untyped ? static_cast<int64_t>(storage.byte_size()) : storage.elements;
  const NodeId location = word(storage.location.empty() ? "cpu" : storage.location);
  return graph_.add_tuple({word("storage"), type, key, location, graph_.add_integer(count)});
}

void Lowering::lower(NodeId node) {
  const Tensor tensor = checkpoint_.tensors[graph_.tensor(node)];
  const bool v3 = checkpoint_.storages[tensor.storage].untyped;
  // number() gives the reference its content.
  const NodeId persistent = graph_.add_persistent(graph_.none());
  checkpoint_.storage_nodes.emplace_back(persistent, tensor.storage);
  std::vector<NodeId> args = {persistent,
                              graph_.add_integer(tensor.offset),
                              dims_node(checkpoint_.sizes(tensor)),
                              dims_node(checkpoint_.strides(tensor)),
                              graph_.boolean_node(tensor.requires_grad),
                              ordered_dict()};
  if (v3) args.push_back(graph_.add_global("torch", info(tensor.dtype).torch));
  if (tensor.conjugated || tensor.negated) {
    const NodeId flags = graph_.add_dict();
    if (tensor.conjugated) graph_.dict(flags).emplace_back(word("conj"), graph_.boolean_node(true));
    if (tensor.negated) graph_.dict(flags).emplace_back(word("neg"), graph_.boolean_node(true));
    args.push_back(flags);
  }
  const NodeId function =
      graph_.add_global("torch._utils", v3 ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  const NodeId call =
      graph_.add_object(pickle::ObjectForm::reduce, function, graph_.add_tuple(args));
  graph_.replace(node, call);
}

/// The call inside, lowered by now, becomes function and arguments of the wrapper.
void Lowering::unfold(NodeId wrapper) {
  const auto args = graph_.tuple(graph_.args(wrapper));
  const NodeId call = args[0];
  const NodeId unfolded =
      graph_.add_tuple({graph_.callable(call), args[1], graph_.args(call), args[3]});
  graph_.replace(wrapper,
                 graph_.add_object(pickle::ObjectForm::reduce, graph_.callable(wrapper), unfolded));
}

/// Whether a parsed reference says already what the output needs.
bool Lowering::is_current(NodeId reference, const Storage& storage, std::string_view key) const {
  const auto items = graph_.sequence(reference);
  if (items.size() != 5 || graph_.text(items[2]) != key) return false;
  if (graph_.text(items[3]) != (storage.location.empty() ? "cpu" : storage.location)) return false;
  const bool untyped = graph_.global_module(items[1]) == "torch.storage";
  return untyped == storage.untyped && graph_.global_module(items[1]) != "torch.cuda";
}

void Lowering::number(NodeId persistent) {
  const uint32_t index = checkpoint_.storage_at(persistent);
  if (index == kNoIndex) {
    // ('module', class, file, source) of legacy files stands for the class.
    const auto items = graph_.sequence(graph_.persistent_id(persistent));
    if (items.size() > 1 && graph_.is(items[1], NodeKind::global)) {
      graph_.replace(persistent, items[1]);
    }
    return;
  }
  const NodeId reference = graph_.persistent_id(persistent);
  const Storage& storage = checkpoint_.storages[index];
  const auto [key, is_new] = keys_.try_emplace(index, kNoNode);
  if (is_new) order_.push_back(index);
  if (key->second == kNoNode) {
    const std::string text = std::to_string(order_.size() - 1);
    if (is_current(reference, storage, text)) {
      key->second = graph_.sequence(reference)[2];
      return;
    }
    key->second = graph_.add_text(text);
  } else if (is_current(reference, storage, graph_.text(key->second))) {
    return;
  }
  const NodeId fresh = storage_reference(index, key->second);
  graph_.replace(persistent, graph_.add_persistent(fresh));
}

Result<std::vector<uint32_t>> Lowering::run() {
  MLC_CHECK(find_tensors());
  reuse_words();
  for (const NodeId node : tensor_nodes_) lower(node);
  for (const NodeId wrapper : wrappers_) unfold(wrapper);
  pickle::for_each_reachable(graph_, checkpoint_.root, [this](NodeId node) {
    if (graph_.is(node, NodeKind::persistent)) number(node);
  });
  return std::move(order_);
}

}  // namespace

bool is_wrapped_tensor(const Graph& graph, NodeId node) {
  constexpr std::string_view kName = "_rebuild_from_type_v2";
  return (graph.is_call_of(node, "torch._tensor", kName) ||
          graph.is_call_of(node, "torch.tensor", kName)) &&
         graph.tuple(graph.args(node)).size() == 4;
}

Result<std::vector<uint32_t>> lower_tensors(Checkpoint& checkpoint) {
  return Lowering(checkpoint).run();
}

}  // namespace mlc
