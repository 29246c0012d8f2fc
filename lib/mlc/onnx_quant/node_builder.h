// New nodes for an ONNX document, with names that nothing else has.
#pragma once

#include "mlc/onnx_edit/document.h"

#include <cstdint>
#include <map>
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
  /// VALUE, of float16, as float32, once for all its readers: a Cast, or a constant of its own.
  const std::string& widened(const std::string& value);
  /// Appends a Cast of INPUT to float16 to NODES, which gives OUTPUT.
  void add_narrow(std::vector<DocNode>& nodes, const std::string& input, std::string output);
  /// Appends the nodes that dynamic_activation() and widened() make of VALUE, and of that again,
  /// where somebody asked and they were not taken already. They belong behind what makes VALUE.
  void take_made(std::string_view value, std::vector<DocNode>& nodes);

 private:
  Document& document_;
  std::set<std::string, std::less<>> node_names_;
  std::map<std::string, Activation, std::less<>> activations_;
  std::map<std::string, std::string, std::less<>> widened_;
  std::map<std::string, DocNode, std::less<>> pending_;  // by what they are made of
};

}  // namespace mlc::onnx
