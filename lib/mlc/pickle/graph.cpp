#include "mlc/pickle/graph.h"

#include <bit>

namespace mlc::pickle {
namespace {

constexpr int64_t kSmallest = -16;
constexpr int64_t kLargest = 4096;

int64_t halves(uint32_t low, uint32_t high) {
  return static_cast<int64_t>(uint64_t{high} << 32U | low);
}

}  // namespace

Graph::Graph() {
  add({NodeKind::none, 0, 0, 0});
  add({NodeKind::boolean, 0, 0, 0});
  add({NodeKind::boolean, 0, 0, 1});
  add({NodeKind::tuple, 0, 0, 0});
  small_integers_.assign(static_cast<size_t>(kLargest - kSmallest + 1), kNoNode);
}

void Graph::reserve(size_t nodes) {
  nodes_.reserve(nodes_.size() + nodes);
  tuple_items_.reserve(tuple_items_.size() + nodes * 2);
}

double Graph::real(NodeId id) const {
  return std::bit_cast<double>(nodes_[id].number);
}

std::string_view Graph::text(NodeId id) const {
  const Node& node = nodes_[id];
  return {reinterpret_cast<const char*>(node.number), node.a};
}

std::span<const NodeId> Graph::tuple(NodeId id) const {
  const Node& node = nodes_[id];
  return std::span(tuple_items_).subspan(static_cast<size_t>(node.number), node.a);
}

bool Graph::is_global(NodeId id, std::string_view module, std::string_view name) const {
  return is(id, NodeKind::global) && global_module(id) == module && global_name(id) == name;
}

std::string Graph::global_path(NodeId id) const {
  return std::string(global_module(id)).append(".").append(global_name(id));
}

const ObjectContent* Graph::content(NodeId id) const {
  const uint32_t index = upper(id);
  return index == 0 ? nullptr : &contents_[index - 1];
}

ObjectContent& Graph::content_for_edit(NodeId id) {
  if (upper(id) == 0) {
    contents_.emplace_back();
    nodes_[id].number = halves(lower(id), static_cast<uint32_t>(contents_.size()));
  }
  return contents_[upper(id) - 1];
}

NodeId Graph::keyword_args(NodeId id) const {
  const auto it = keyword_args_.find(id);
  return it == keyword_args_.end() ? kNoNode : it->second;
}

NodeId Graph::add_integer(int64_t value) {
  if (value < kSmallest || value > kLargest) return add({NodeKind::integer, 0, 0, value});
  NodeId& shared = small_integers_[static_cast<size_t>(value - kSmallest)];
  if (shared == kNoNode) shared = add({NodeKind::integer, 0, 0, value});
  return shared;
}

NodeId Graph::add_real(double value) {
  return add({NodeKind::real, 0, 0, std::bit_cast<int64_t>(value)});
}

NodeId Graph::add_borrowed(NodeKind kind, std::string_view text) {
  return add({kind, 0, static_cast<uint32_t>(text.size()), std::bit_cast<int64_t>(text.data())});
}

NodeId Graph::add_owned(NodeKind kind, std::string_view text) {
  owned_.emplace_back(text);
  return add_borrowed(kind, owned_.back());
}

NodeId Graph::add_tuple(std::span<const NodeId> items) {
  if (items.empty()) return empty_tuple();
  const auto begin = static_cast<int64_t>(tuple_items_.size());
  tuple_items_.insert(tuple_items_.end(), items.begin(), items.end());
  return add({NodeKind::tuple, 0, static_cast<uint32_t>(items.size()), begin});
}

NodeId Graph::add_list(NodeKind kind) {
  lists_.emplace_back();
  return add({kind, 0, static_cast<uint32_t>(lists_.size() - 1), 0});
}

NodeId Graph::add_dict() {
  dicts_.emplace_back();
  return add({NodeKind::dict, 0, static_cast<uint32_t>(dicts_.size() - 1), 0});
}

NodeId Graph::add_global(std::string_view module, std::string_view name) {
  if (const NodeId id = find_global(module, name); id != kNoNode) return id;
  const NodeId module_node = add_text(module);
  const NodeId name_node = add_text(name);
  return add_global(module_node, name_node);
}

NodeId Graph::add_global(NodeId module, NodeId name) {
  const auto [it, is_new] = globals_.try_emplace({text(module), text(name)}, kNoNode);
  if (is_new) it->second = add({NodeKind::global, 0, module, halves(name, 0)});
  return it->second;
}

std::vector<NodeId> Graph::globals() const {
  std::vector<NodeId> nodes;
  for (const auto& [key, node] : globals_) nodes.push_back(node);
  return nodes;
}

NodeId Graph::find_global(std::string_view module, std::string_view name) const {
  const auto it = globals_.find({module, name});
  return it == globals_.end() ? kNoNode : it->second;
}

NodeId Graph::add_object(ObjectForm form, NodeId callable, NodeId args, NodeId keyword_args) {
  const NodeId id = add({NodeKind::object, static_cast<uint8_t>(form), callable, halves(args, 0)});
  if (keyword_args != kNoNode) keyword_args_.emplace(id, keyword_args);
  return id;
}

NodeId Graph::add_persistent(NodeId id) {
  return add({NodeKind::persistent, 0, id, 0});
}

NodeId Graph::add_tensor(uint32_t number) {
  return add({NodeKind::tensor, 0, number, 0});
}

const std::vector<Entry>* Graph::entries(NodeId id) const {
  if (is(id, NodeKind::dict)) return &dict(id);
  if (!is(id, NodeKind::object)) return nullptr;
  const ObjectContent* extra = content(id);
  if (extra != nullptr && !extra->items.empty()) return &extra->items;
  static const std::vector<Entry> kEmpty;
  const bool ordered =
      is_call_of(id, "collections", "OrderedDict") || is_call_of(id, "collections", "defaultdict");
  return ordered ? &kEmpty : nullptr;
}

std::vector<Entry>* Graph::entries_for_edit(NodeId id) {
  if (is(id, NodeKind::dict)) return &dict(id);
  if (entries(id) == nullptr) return nullptr;
  return &content_for_edit(id).items;
}

std::span<const NodeId> Graph::sequence(NodeId id) const {
  switch (kind(id)) {
    case NodeKind::tuple:
      return tuple(id);
    case NodeKind::list:
      return list(id);
    case NodeKind::object: {
      const ObjectContent* extra = content(id);
      return extra != nullptr ? std::span<const NodeId>(extra->appended)
                              : std::span<const NodeId>();
    }
    default:
      return {};
  }
}

NodeId Graph::find(NodeId mapping, std::string_view key) const {
  const std::vector<Entry>* all = entries(mapping);
  if (all == nullptr) return kNoNode;
  for (auto it = all->rbegin(); it != all->rend(); ++it) {
    if (is(it->first, NodeKind::text) && text(it->first) == key) return it->second;
  }
  return kNoNode;
}

bool Graph::is_call_of(NodeId id, std::string_view module, std::string_view name) const {
  return is(id, NodeKind::object) && is_global(callable(id), module, name);
}

}  // namespace mlc::pickle
