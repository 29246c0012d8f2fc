// New nodes for an ONNX document, with names that nothing else has.
#pragma once

#include "mlc/onnx_edit/document.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

/// Values in bytes: value = scale * (code - zero_point). Names.
struct Activation {
  std::string codes;
  std::string scale;
  std::string zero_point;
};

class NodeBuilder {
 public:
  explicit NodeBuilder(Document& document);

  /// NAME for a node of type OP, or one like it where another node has that.
  std::string node_name(std::string_view name, std::string_view op);
  /// Appends a node to NODES; the name of its output, which is NAME or one like it, as that of the
  /// node is.
  std::string add(std::vector<DocNode>& nodes, std::string_view op, std::vector<std::string> inputs,
                  std::string_view name);
  /// The same with an output whose name is known.
  void add_as(std::vector<DocNode>& nodes, std::string_view op, std::vector<std::string> inputs,
              std::string output, std::string_view name);
  std::string add_cast(std::vector<DocNode>& nodes, const std::string& input, int64_t type,
                       std::string_view name);
  /// VALUE in bytes with a scale that is found while the model runs: once for all its readers.
  const Activation& dynamic_activation(const std::string& value);
  /// Takes the node that makes dynamic_activation(VALUE); nothing where nobody asked, or it was
  /// taken already. It belongs behind what makes VALUE.
  std::optional<DocNode> take_activation(std::string_view value);

 private:
  Document& document_;
  std::set<std::string, std::less<>> node_names_;
  std::map<std::string, Activation, std::less<>> activations_;
  std::map<std::string, DocNode, std::less<>> pending_;
};

}  // namespace mlc::onnx
