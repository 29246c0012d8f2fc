#include "mlc/checkpoint/pickled_bytes.h"

#include "mlc/tensor/byte_order.h"

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

/// The Latin-1 bytes of TEXT, which is UTF-8; nothing where a character does not fit.
std::optional<std::string> latin1(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out += text[i];
    } else if ((c == 0xC2 || c == 0xC3) && i + 1 < text.size()) {
      out += static_cast<char>((c & 3U) << 6U | (static_cast<unsigned char>(text[++i]) & 0x3FU));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

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
  if (graph.is_call_of(node, "__builtin__", "bytes") && graph.args(node) == graph.empty_tuple()) {
    return std::string_view();  // protocol 2's b''
  }
  if (!graph.is_call_of(node, "_codecs", "encode")) return std::nullopt;
  if (const auto it = decoded_.find(node); it != decoded_.end()) return it->second;
  const auto args = graph.tuple(graph.args(node));
  const bool good = args.size() == 2 && graph.is(args[0], NodeKind::text) &&
                    graph.is(args[1], NodeKind::text) && graph.text(args[1]) == "latin1";
  auto bytes = good ? latin1(graph.text(args[0])) : std::nullopt;
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
