// A program as a graph in static single assignment form: what front ends make, passes change and
// lowerings read.
//
//   Graph graph("net");
//   Value* x = graph.add_input("x", TensorType{DType::f32, {{batch, c3}}});
//   Node* relu = graph.append(graph.body(), {"aten", "relu", ""}, {{"self", x}}, {x->type()});
//   graph.set_results(graph.body(), {{"y", relu->output(0)}});
//
// A graph owns its nodes and values; pointers to them hold until they are erased. Arguments have
// PyTorch's names for them (of the operator's schema), in the schema's order; those that have their
// default may be absent. Every change goes through the graph, which keeps the lists of uses.
// Requires, everywhere: nodes and values are of this graph.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/attribute.h"
#include "mlc/ir/op_name.h"
#include "mlc/ir/symbols.h"

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mlc::ir {

class Block;
class Graph;
class Node;

/// What is not known is absent: the dtype, all sizes (the rank too).
struct TensorType {
  std::optional<DType> dtype;
  std::optional<std::vector<Expr>> sizes;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

enum class ScalarKind : uint8_t { integer, number, boolean, text };

struct ScalarType {
  ScalarKind kind = ScalarKind::integer;
  /// Of an integer: its value. A symbol that only this value defines, where nothing is known.
  std::optional<Expr> value;
  friend bool operator==(const ScalarType&, const ScalarType&) = default;
};

using Type = std::variant<TensorType, ScalarType>;

/// Where a value is read: an argument of a node, and which item of it where that is a list.
struct Use {
  Node* node = nullptr;
  size_t argument = 0;
  size_t item = 0;
  friend bool operator==(const Use&, const Use&) = default;
};

enum class ValueKind : uint8_t {
  input,      // of the graph
  parameter,  // a parameter of the model: trained
  buffer,     // a buffer of the model
  constant,   // a tensor that the program holds
  block,      // what a block is given by its node
  output,     // of a node
};

class Value {
 public:
  /// Unique in its graph, without "%": "x", "encoder.layer.0.weight", "12".
  const std::string& name() const { return name_; }
  ValueKind kind() const { return kind_; }
  const Type& type() const { return type_; }
  /// Null for what is no tensor.
  const TensorType* tensor() const { return std::get_if<TensorType>(&type_); }
  /// The node that makes it; null for all kinds but output.
  Node* producer() const { return producer_; }
  /// The block that it is an input of; null for all kinds but block.
  Block* block() const { return block_; }
  size_t index() const { return index_; }  // among the outputs of its producer
  const std::vector<Use>& uses() const { return uses_; }

 private:
  friend class Graph;
  Value() = default;
  std::string name_;
  ValueKind kind_ = ValueKind::output;
  Type type_;
  Node* producer_ = nullptr;
  Block* block_ = nullptr;  // of kind block
  size_t index_ = 0;
  std::vector<Use> uses_;
};

struct Argument {
  std::string name;
  Attribute value;
};

/// A place in the source of the model, for messages.
struct Origin {
  std::string scope;  // the module: "encoder.layer.0.attention"; empty at the root
  std::string text;   // where in the source: "model.py:12"; may be empty
  friend bool operator==(const Origin&, const Origin&) = default;
};

class Node {
 public:
  const OpName& op() const { return op_; }
  const std::vector<Argument>& arguments() const { return arguments_; }
  /// Null where it is absent.
  const Attribute* find(std::string_view name) const;
  const std::vector<Value*>& outputs() const { return outputs_; }
  Value* output(size_t index) const { return outputs_[index]; }
  /// Of prim::If: what runs where the condition holds, and where not; of prim::Loop: the body.
  const std::vector<std::unique_ptr<Block>>& blocks() const { return blocks_; }
  Block* owner() const { return owner_; }
  const Origin& origin() const { return origin_; }

 private:
  friend class Graph;
  Node() = default;
  OpName op_;
  std::vector<Argument> arguments_;
  std::vector<Value*> outputs_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Block* owner_ = nullptr;
  Origin origin_;
  std::list<Node*>::iterator place_;
};

/// What a node is to give: a type, and a name where a number will not do.
struct Output {
  Type type;
  std::string name;
  Output(TensorType tensor) : type(std::move(tensor)) {}  // NOLINT: implicit
  Output(ScalarType scalar) : type(std::move(scalar)) {}  // NOLINT: implicit
  Output(Type any, std::string own_name = {})             // NOLINT: implicit
      : type(std::move(any)), name(std::move(own_name)) {}
};

/// Nodes in the order in which they run. The last one is no operator: its arguments are the
/// results.
class Block {
 public:
  const std::vector<Value*>& inputs() const { return inputs_; }
  /// Without the node of the results.
  const std::list<Node*>& nodes() const { return nodes_; }
  /// prim::Return: one argument for each result; of the graph's body, named as its outputs.
  Node* results() const { return results_; }
  /// The node it belongs to; null for the body of the graph.
  Node* owner() const { return owner_; }

 private:
  friend class Graph;
  Block() = default;
  std::vector<Value*> inputs_;
  std::list<Node*> nodes_;
  Node* results_ = nullptr;
  Node* owner_ = nullptr;
};

class Graph {
 public:
  explicit Graph(std::string name);
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  ~Graph();

  const std::string& name() const { return name_; }
  Symbols& symbols() { return *symbols_; }
  const Symbols& symbols() const { return *symbols_; }
  Block& body() { return *body_; }
  const Block& body() const { return *body_; }
  const std::vector<Value*>& inputs() const { return body_->inputs_; }
  /// Parameters, buffers and constants, in the order in which they were added.
  const std::vector<Value*>& weights() const { return weights_; }
  /// Null where there is none.
  Value* find(std::string_view value) const;

  // Each gives a value with NAME, or with one made from it where NAME is taken or empty.
  Value* add_input(std::string_view name, Type type);
  /// KIND: parameter, buffer or constant.
  Value* add_weight(ValueKind kind, std::string_view name, TensorType type);
  Value* add_block_input(Block& block, std::string_view name, Type type);

  /// At the end of BLOCK.
  Node* append(Block& block, OpName op, std::vector<Argument> arguments,
               std::vector<Output> outputs, Origin origin = {});
  Node* insert_before(Node* node, OpName op, std::vector<Argument> arguments,
                      std::vector<Output> outputs, Origin origin = {});
  Block& add_block(Node* node);
  /// One more output of NODE, for nodes whose blocks tell what they give.
  Value* add_output(Node* node, Output output);
  /// Replaces the results of a block.
  void set_results(Block& block, std::vector<Argument> results);

  void set_argument(Node* node, size_t argument, Attribute value);
  void set_arguments(Node* node, std::vector<Argument> arguments);
  void set_type(Value* value, Type type) { value->type_ = std::move(type); }
  /// False, and nothing changes, where another value has NAME.
  bool rename(Value* value, std::string_view name);
  /// Every use of FROM becomes one of TO; FROM stays, unused.
  void replace_all_uses(Value* from, Value* to);
  /// Requires: no output is used outside of the node.
  void erase(Node* node);
  /// An unused parameter, buffer or constant. Requires: no uses.
  void erase(Value* weight);
  /// Erases nodes none of whose outputs are used, and what only they used. KEEP says which
  /// operators stay whatever their outputs are for.
  void erase_unused(bool (*keep)(const Node&));

 private:
  Value* new_value(ValueKind kind, std::string_view name, Type type);
  Node* new_node(Block& block, OpName op, std::vector<Output> outputs, Origin origin);
  Node* place(Node* node, std::list<Node*>::iterator before, std::vector<Argument> arguments);
  void use_all(Node* node);
  void forget_uses(Node* node);
  void erase_block(Block& block);
  void erase_value(Value* value);
  void erase_unused(Block& block, bool (*keep)(const Node&));

  std::string name_;
  std::unique_ptr<Symbols> symbols_;
  std::unique_ptr<Block> body_;
  std::map<std::string, std::unique_ptr<Value>, std::less<>> values_;
  std::map<Node*, std::unique_ptr<Node>> nodes_;
  std::vector<Value*> weights_;
  uint64_t next_number_ = 0;
};

/// The text of a graph, which parse() reads back to an equal one:
///
///   graph "net" {
///     symbol batch in 1..1024
///     input %x: f32[batch, 3]
///     parameter %fc.weight: f32[10, 3]
///     %0: f32[batch, 10] = aten::linear(input=%x, weight=%fc.weight, bias=none) @ "fc"
///     return y=%0
///   }
std::string to_text(const Graph& graph);
std::string to_text(const Graph& graph, const Node& node);

/// Errors: corrupt, with line, column and a caret; of verify() too.
Result<Graph> parse(std::string_view text, const std::string& file);

/// Whether the graph is well-formed: values are defined before they are used and where they can be
/// seen, names are unique, lists of uses agree, blocks fit their nodes, sizes cannot be negative.
/// Error: internal, naming the node.
Status verify(const Graph& graph);

}  // namespace mlc::ir
