#include "mlc/onnx_prune/shared_shapes.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mlc::onnx {

void part_shared_shapes(Document& document) {
  std::map<std::string, DocNode, std::less<>> made;  // by what they give
  for (const DocNode& node : document.nodes)
    if (node.is("Concat") && node.outputs.size() == 1) made.emplace(node.outputs[0], node);
  std::map<std::string, size_t, std::less<>> readers;
  std::vector<DocNode> out;
  for (DocNode& node : document.nodes) {
    const auto shape =
        node.is("Reshape") || node.is("Expand") ? made.find(node.input(1)) : made.end();
    if (shape != made.end() && readers[shape->first]++ > 0) {
      DocNode own = shape->second;
      own.name = document.unused_name(own.name);
      own.outputs[0] = document.unused_name(own.outputs[0]);
      node.inputs[1] = own.outputs[0];
      out.push_back(std::move(own));
    }
    out.push_back(std::move(node));
  }
  document.nodes = std::move(out);
}

}  // namespace mlc::onnx
