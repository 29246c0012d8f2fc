#include "mlc/checkpoint/pickled_bytes.h"

#include "mlc/pickle/byte_spellings.h"
#include "mlc/tensor/byte_order.h"

namespace mlc {

using pickle::Graph;
using pickle::NodeKind;

std::optional<std::string_view> PickledBytes::of(NodeId node) {
  const Graph& graph = checkpoint_.graph;
  switch (graph.kind(node)) {
    case NodeKind::bytes:
    case NodeKind::bytearray:
    case NodeKind::old_string:
      return graph.text(node);
    default:
      break;
  }
  if (!graph.is(node, NodeKind::object)) return std::nullopt;
  if (const auto it = decoded_.find(node); it != decoded_.end()) return it->second;
  auto bytes = pickle::bytes_of_call(graph, node);
  if (!bytes) return std::nullopt;
  const std::string_view kept = checkpoint_.buffers.emplace_back(std::move(*bytes));
  decoded_.emplace(node, kept);
  return kept;
}

Status PickledBytes::place(Storage& storage, std::string_view bytes) {
  const auto base = reinterpret_cast<uintptr_t>(mapping_.data());
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  if (begin >= base && begin - base <= mapping_.size()) {
    storage.file = 0;
    storage.offset = begin - base;
    return {};
  }
  copied_ += bytes.size();
  if (copied_ > mapping_.size()) {
    return corrupt("its storages have more bytes than the file: they share them");
  }
  std::string copy(bytes);
  if (storage.big_endian) swap_elements(std::as_writable_bytes(std::span(copy)), storage.dtype);
  storage.big_endian = false;
  storage.own = held_bytes(std::move(copy));
  return {};
}

}  // namespace mlc
