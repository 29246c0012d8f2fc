// An ONNX model in memory: what the lowering builds and the writer writes. No protobuf.
//
// A Model owns its values and nodes; pointers to them hold as long as it does. Every value has a
// type: an element type and one integer expression for each dimension, over the symbols of the
// program that was lowered. Operators, attributes and meanings are those of the ONNX operator
// specification (onnx/defs of ONNX 1.19), at the opset of the model.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/ir/graph.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mlc::onnx {

struct TensorType {
  DType dtype = DType::f32;
  std::vector<ir::Expr> sizes;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

/// The contiguous little-endian elements of a tensor, alive as long as the owner is.
struct Buffer {
  Bytes bytes;
  std::shared_ptr<const void> owner;
};

/// A tensor whose value is known when the model is written. Large ones are made only then.
struct TensorData {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  /// Under which name the model's state_dict has it; empty for what lowering made.
  std::string key;
  /// Equal where the bytes are known to be equal without looking at them; empty: not known.
  std::string identity;
  /// May be called again and again, from one thread.
  std::function<Result<Buffer>()> produce;

  uint64_t count() const;
  uint64_t byte_size() const { return count() * element_bytes(dtype); }
};
using DataRef = std::shared_ptr<const TensorData>;

struct Node;
struct Graph;

struct Value {
  std::string name;  // empty until names are given
  TensorType type;
  Node* producer = nullptr;  // null: an input of a graph, or an initializer
  DataRef data;              // of an initializer
};

using AttributeValue =
    std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                 std::vector<std::string>, DataRef, std::shared_ptr<Graph>>;
struct Attribute {
  std::string name;
  AttributeValue value;
};

struct Node {
  std::string op;
  std::string domain;           // empty: ONNX's own
  std::vector<Value*> inputs;   // null: an optional input that is left out
  std::vector<Value*> outputs;  // null: an optional output that is left out
  std::vector<Attribute> attributes;
  std::string name;
  ir::Origin origin;   // the module and the line that it comes from
  std::string source;  // the operators that it comes from: "aten::linear"
  int opset = 0;       // the least opset of the model that it needs

  const AttributeValue* find(std::string_view attribute) const;
};

/// A result of a graph.
struct GraphOutput {
  std::string name;
  Value* value = nullptr;
};

struct Graph {
  std::string name;
  std::vector<Value*> inputs;
  std::vector<Node*> nodes;  // in an order in which they can run
  std::vector<GraphOutput> outputs;
};

struct Model {
  Graph graph;
  int opset = 17;
  std::map<std::string, int> domains;                         // other domains and their versions
  std::vector<std::pair<std::string, std::string>> metadata;  // metadata_props
  /// Sizes that have to be larger than their bounds say, by their texts: "n", "2*n".
  std::map<std::string, int64_t> least_sizes;
  bool says_origins = false;  // nodes are written with what they come from as their doc_string
  std::shared_ptr<ir::Graph> program;  // has the symbols of all sizes
  std::deque<Value> values;
  std::deque<Node> nodes;

  ir::Symbols& symbols() const { return program->symbols(); }
  Value* new_value(TensorType type);
  Node* new_node() { return &nodes.emplace_back(); }
};

/// The sizes, where all of them are numbers.
std::optional<std::vector<int64_t>> fixed_sizes(const ir::Symbols& symbols,
                                                const std::vector<ir::Expr>& sizes);

}  // namespace mlc::onnx
