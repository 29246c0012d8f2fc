// What a Node refers to. Included by the sources of this folder only.
#pragma once

#include "mlc/yaml/document.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mlc::yaml {

struct Source {
  std::string text;
  std::string file;
  ErrorKind kind = ErrorKind::usage;

  Error error(size_t line, size_t column, std::string message, std::string hint = {}) const;
};

/// Children hold shared pointers, so that an alias costs nothing; the parser refuses cycles.
struct Node::Data {
  Kind kind = Kind::null;
  bool quoted = false;
  uint32_t line = 1;
  uint32_t column = 1;
  int height = 1;       // levels of nesting from here down
  size_t expanded = 1;  // nodes from here down with every alias written out
  std::string text;
  std::vector<Node> items;
  std::vector<std::pair<std::string, Node>> entries;
  std::vector<std::pair<uint32_t, uint32_t>> key_positions;  // line, column; parallel to entries
  std::vector<uint32_t> by_key;                              // entry numbers, sorted by key

  /// The number of the entry under KEY, or entries.size().
  size_t index_of(std::string_view key) const;
};

}  // namespace mlc::yaml
