#include "mlc/pickle/byte_spellings.h"

#include "mlc/pickle/text_values.h"

namespace mlc::pickle {
namespace {

bool is_builtin_call(const Graph& graph, NodeId node, std::string_view name) {
  return (graph.is_call_of(node, "__builtin__", name) ||
          graph.is_call_of(node, "builtins", name)) &&
         graph.content(node) == nullptr;
}

bool is_text(const Graph& graph, NodeId node) {
  return graph.is(node, NodeKind::text) || graph.is(node, NodeKind::old_string);
}

/// The bytes of (text, 'latin1').
std::optional<std::string> encoded(const Graph& graph, std::span<const NodeId> args) {
  if (args.size() != 2 || !graph.is(args[0], NodeKind::text) || !is_text(graph, args[1])) {
    return std::nullopt;
  }
  const std::string_view codec = graph.text(args[1]);
  if (codec != "latin1" && codec != "latin-1") return std::nullopt;
  return utf8_to_latin1(graph.text(args[0]));
}

}  // namespace

std::optional<std::string> bytes_of_call(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::object)) return std::nullopt;
  const auto args = graph.sequence(graph.args(node));
  if (graph.is_call_of(node, "_codecs", "encode")) return encoded(graph, args);
  return is_builtin_call(graph, node, "bytes") && args.empty() ? std::optional(std::string())
                                                               : std::nullopt;
}

std::optional<std::string> bytes_value(const Graph& graph, NodeId node) {
  if (graph.is(node, NodeKind::bytes) || graph.is(node, NodeKind::old_string)) {
    return std::string(graph.text(node));
  }
  return bytes_of_call(graph, node);
}

std::optional<std::string> bytearray_of_call(const Graph& graph, NodeId node) {
  if (!is_builtin_call(graph, node, "bytearray")) return std::nullopt;
  const auto args = graph.sequence(graph.args(node));
  if (args.empty()) return std::string();
  return args.size() == 1 ? bytes_value(graph, args[0]) : encoded(graph, args);
}

}  // namespace mlc::pickle
