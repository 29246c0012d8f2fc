#include "mlc/checkpoint/absorb.h"

#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

class Absorption {
 public:
  Absorption(Checkpoint& into, Checkpoint& from) : into_(into), from_(from) {}

  Result<std::vector<NodeId>> run(std::span<const NodeId> nodes);

 private:
  void collect(std::span<const NodeId> nodes);
  bool is_constructed(NodeId node) const;
  void construct(NodeId node);
  void construct_object(NodeId node);
  void fill(NodeId node);
  void fill_content(NodeId node);
  void move_containers();
  void move_tensors();
  uint32_t moved_storage(uint32_t index);
  void keep_storage_texts(size_t first);

  NodeId mapped(NodeId node) const { return map_.at(node); }
  std::vector<NodeId> mapped(std::span<const NodeId> nodes) const {
    std::vector<NodeId> out;
    out.reserve(nodes.size());
    for (const NodeId node : nodes) out.push_back(mapped(node));
    return out;
  }
  void fill_entries(const std::vector<pickle::Entry>& source,
                    std::vector<pickle::Entry>& out) const {
    out.reserve(source.size());
    for (const auto& [key, value] : source) out.emplace_back(mapped(key), mapped(value));
  }

  Checkpoint& into_;
  Checkpoint& from_;
  std::vector<NodeId> reached_;  // ascending
  std::unordered_map<NodeId, NodeId> map_;
  std::unordered_map<uint32_t, uint32_t> storage_map_;
  uint32_t file_base_ = 0;
  uint32_t archive_base_ = 0;
};

void Absorption::collect(std::span<const NodeId> nodes) {
  std::vector<bool> seen(from_.graph.size(), false);
  std::vector<NodeId> stack(nodes.begin(), nodes.end());
  while (!stack.empty()) {
    const NodeId node = stack.back();
    stack.pop_back();
    if (seen[node]) continue;
    seen[node] = true;
    reached_.push_back(node);
    pickle::append_children(from_.graph, node, stack);
  }
  std::sort(reached_.begin(), reached_.end());
  map_.reserve(reached_.size());
}

// A machine makes tuples, calls and ids after their parts, so that these have lower numbers.
bool Absorption::is_constructed(NodeId node) const {
  const Graph& graph = from_.graph;
  const auto known = [this](NodeId part) { return map_.count(part) != 0; };
  switch (graph.kind(node)) {
    case NodeKind::tuple: {
      const auto items = graph.tuple(node);
      return std::all_of(items.begin(), items.end(), known);
    }
    case NodeKind::persistent:
      return known(graph.persistent_id(node));
    case NodeKind::object: {
      const NodeId keywords = graph.keyword_args(node);
      return known(graph.callable(node)) && known(graph.args(node)) &&
             (keywords == kNoNode || known(keywords));
    }
    default:
      return true;
  }
}

void Absorption::construct_object(NodeId node) {
  const Graph& source = from_.graph;
  const NodeId keywords = source.keyword_args(node);
  map_[node] = into_.graph.add_object(source.object_form(node), mapped(source.callable(node)),
                                      mapped(source.args(node)),
                                      keywords == kNoNode ? kNoNode : mapped(keywords));
}

void Absorption::construct(NodeId node) {
  const Graph& source = from_.graph;
  Graph& graph = into_.graph;
  NodeId made = kNoNode;
  switch (source.kind(node)) {
    case NodeKind::none:
      made = graph.none();
      break;
    case NodeKind::boolean:
      made = graph.boolean_node(source.boolean(node));
      break;
    case NodeKind::integer:
      made = graph.add_integer(source.integer(node));
      break;
    case NodeKind::real:
      made = graph.add_real(source.real(node));
      break;
    case NodeKind::big_integer:
    case NodeKind::text:
    case NodeKind::old_string:
    case NodeKind::bytes:
    case NodeKind::bytearray:
      made = graph.add_owned(source.kind(node), source.text(node));
      break;
    case NodeKind::tuple:
      made = graph.add_tuple(mapped(source.tuple(node)));
      break;
    case NodeKind::list:
    case NodeKind::set:
    case NodeKind::frozenset:
      made = graph.add_list(source.kind(node));
      break;
    case NodeKind::dict:
      made = graph.add_dict();
      break;
    case NodeKind::global:
      made = graph.add_global(source.global_module(node), source.global_name(node));
      break;
    case NodeKind::persistent:
      made = graph.add_persistent(mapped(source.persistent_id(node)));
      break;
    case NodeKind::object:
      return construct_object(node);
    case NodeKind::tensor:
      return;  // made with its tensor
  }
  map_[node] = made;
}

void Absorption::fill_content(NodeId node) {
  const pickle::ObjectContent* content = from_.graph.content(node);
  if (content == nullptr) return;
  pickle::ObjectContent& out = into_.graph.content_for_edit(mapped(node));
  fill_entries(content->items, out.items);
  out.appended = mapped(content->appended);
  if (content->state != kNoNode) out.state = mapped(content->state);
}

void Absorption::fill(NodeId node) {
  switch (from_.graph.kind(node)) {
    case NodeKind::list:
    case NodeKind::set:
    case NodeKind::frozenset:
      into_.graph.list(mapped(node)) = mapped(from_.graph.list(node));
      break;
    case NodeKind::dict:
      fill_entries(from_.graph.dict(node), into_.graph.dict(mapped(node)));
      break;
    case NodeKind::object:
      fill_content(node);
      break;
    default:
      break;
  }
}

void Absorption::move_containers() {
  file_base_ = static_cast<uint32_t>(into_.files.size());
  archive_base_ = static_cast<uint32_t>(into_.archives.size());
  for (auto& file : from_.files) into_.files.push_back(std::move(file));
  for (ZipReader& archive : from_.archives) into_.archives.push_back(std::move(archive));
}

uint32_t Absorption::moved_storage(uint32_t index) {
  if (index == kNoIndex) return kNoIndex;
  const auto [it, is_new] =
      storage_map_.try_emplace(index, static_cast<uint32_t>(into_.storages.size()));
  if (is_new) {
    Storage storage = from_.storages[index];
    if (storage.archive != kNoIndex) storage.archive += archive_base_;
    if (storage.file != kNoIndex) storage.file += file_base_;
    into_.storages.push_back(std::move(storage));
  }
  return it->second;
}

// Keys and locations point into FROM: one copy of them all.
void Absorption::keep_storage_texts(size_t first) {
  size_t size = 0;
  for (size_t i = first; i < into_.storages.size(); ++i) {
    size += into_.storages[i].key.size() + into_.storages[i].location.size();
  }
  std::string& texts = into_.buffers.emplace_back();
  texts.reserve(size);
  const auto keep = [&texts](std::string_view text) {
    texts.append(text);
    return std::string_view(texts).substr(texts.size() - text.size());
  };
  for (size_t i = first; i < into_.storages.size(); ++i) {
    into_.storages[i].key = keep(into_.storages[i].key);
    into_.storages[i].location = keep(into_.storages[i].location);
  }
}

// Tensors in the order of their nodes, so that the sorted tables stay sorted.
void Absorption::move_tensors() {
  std::unordered_map<uint32_t, uint32_t> details;
  const size_t first_row = into_.tensor_nodes.size();
  for (const NodeId node : reached_) {
    const uint32_t index = from_.tensor_at(node);
    if (index != kNoIndex) {
      Tensor tensor = from_.tensors[index];
      const Dims sizes = from_.sizes(tensor);
      const Dims strides = from_.strides(tensor);
      tensor.storage = moved_storage(tensor.storage);
      const bool made_here = from_.graph.is(node, NodeKind::tensor);
      tensor.node = made_here ? kNoNode : mapped(node);
      if (tensor.detail != kNoIndex) {
        const auto [it, is_new] =
            details.try_emplace(tensor.detail, static_cast<uint32_t>(into_.details.size()));
        if (is_new) into_.details.push_back(from_.details[tensor.detail]);
        tensor.detail = it->second;
      }
      const uint32_t moved = into_.add_tensor(tensor, sizes, strides);
      if (made_here) map_[node] = into_.tensors[moved].node;
    }
    const uint32_t storage = from_.storage_at(node);
    if (storage != kNoIndex) into_.storage_nodes.emplace_back(mapped(node), moved_storage(storage));
  }
  std::sort(into_.tensor_nodes.begin() + static_cast<std::ptrdiff_t>(first_row),
            into_.tensor_nodes.end());
  std::sort(into_.storage_nodes.begin(), into_.storage_nodes.end());
}

Result<std::vector<NodeId>> Absorption::run(std::span<const NodeId> nodes) {
  collect(nodes);
  const size_t first_storage = into_.storages.size();
  move_containers();
  for (const NodeId node : reached_) {
    if (!is_constructed(node)) return unsupported("a graph that was edited cannot be merged");
    construct(node);
  }
  move_tensors();
  for (const NodeId node : reached_) fill(node);
  keep_storage_texts(first_storage);
  return mapped(nodes);
}

}  // namespace

Result<std::vector<NodeId>> absorb(Checkpoint& into, Checkpoint&& from,
                                   std::span<const NodeId> nodes) {
  return Absorption(into, from).run(nodes);
}

}  // namespace mlc
