// Bytes, which every protocol below 5 spells in another way.
#pragma once

#include "mlc/pickle/graph.h"

#include <optional>
#include <string>

namespace mlc::pickle {

/// The bytes that a call at NODE stands for, as protocol 2 writes them: _codecs.encode(text,
/// 'latin1'), and bytes() for none. Nothing for other nodes, those of NodeKind::bytes among them.
std::optional<std::string> bytes_of_call(const Graph& graph, NodeId node);

/// The same of bytes that are a node of their own too, and of Python 2's str.
std::optional<std::string> bytes_value(const Graph& graph, NodeId node);

/// The same of bytearray(...), as all protocols below 5 write it.
std::optional<std::string> bytearray_of_call(const Graph& graph, NodeId node);

}  // namespace mlc::pickle
