// Adds nodes to an ONNX model, simplified while they are added.
//
//   Builder b(model);
//   Value* y = b.binary("Add", b.matmul(x, w), bias);
//   Value* z = b.reshape(y, {batch, b.constant_expr(-1)...});
//
// What is asked for twice in the same way is made once, what depends on small known tensors only is
// computed, and nodes that change nothing (a cast to the same type, a reshape to the same sizes,
// pairs of transposes) do not appear: nobody has to clean up afterwards. Every value has its full
// type: sizes are expressions, so that hardly any size needs a node.
//
// Binary operators broadcast as ONNX does and need equal dtypes: promotion.h decides them. Where
// ONNX Runtime has no kernel for a dtype, the operator is computed in another one (kernels.h).
//
// What cannot be built is thrown as Unlowerable, which never leaves lower_program(): hundreds of
// lowerings stay free of checks that nearly always hold.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

using Sizes = std::vector<ir::Expr>;
using Inputs = std::vector<Value*>;
using Attributes = std::vector<Attribute>;

/// Why something has no form in ONNX: "a concatenation of nothing".
struct Unlowerable {
  std::string what;
  explicit Unlowerable(std::string reason) : what(std::move(reason)) {}
};

class Builder {
 public:
  /// Adds to the graph of MODEL, which must outlive it. PINNED: the opset is not to be raised.
  explicit Builder(Model& model, std::optional<int> pinned = std::nullopt);

  Model& model() { return model_; }
  ir::Symbols& symbols() { return model_.symbols(); }
  /// The model holds where SIZE is at least LEAST: below that, its tensors would have other ranks.
  void need_at_least(ir::Expr size, int64_t least);
  /// Whether nodes of OPSET may be made, which raises that of the model where it is not pinned.
  bool can_use(int opset) const { return !pinned_ || *pinned_ >= opset; }

  /// What the nodes from here on come from.
  void set_origin(ir::Origin origin, std::string source);
  const ir::Origin& origin() const { return origin_; }

  // Known values.
  ir::Expr expr(int64_t value) { return symbols().constant(value); }
  Value* constant(DataRef data);
  /// VALUE in the nearest number of DTYPE; of SIZES all the same.
  Value* number(double value, DType dtype);
  Value* number(int64_t value, DType dtype);
  Value* filled(double value, DType dtype, const std::vector<int64_t>& sizes);
  Value* integers(const std::vector<int64_t>& values);  // int64, one dimension
  Value* floats(const std::vector<double>& values, const std::vector<int64_t>& sizes, DType dtype);
  Value* int_tensor(const std::vector<int64_t>& values, const std::vector<int64_t>& sizes,
                    DType dtype);
  /// What a small known tensor holds; nothing for what is not known, or larger than 64 Ki elements.
  std::optional<std::vector<int64_t>> known_integers(const Value* value) const;
  std::optional<double> known_number(const Value* value) const;

  // Sizes as tensors.
  /// int64 without dimensions, with one dimension of size 1, and a list.
  Value* integer(ir::Expr value);
  Value* integer_1d(ir::Expr value);
  Value* integer_list(const Sizes& values);
  /// That the symbols which stand alone among the sizes of VALUE can be had from it at run time.
  void define_symbols(Value* value);
  /// Whether all symbols of VALUE can be had.
  bool can_make(ir::Expr value) const;
  /// The symbol at INDEX of Symbols::all() is the value of a tensor, int64 without dimensions.
  void define_symbol(size_t index, Value* scalar);

  // Any operator. The last outputs may be left unnamed by giving fewer types.
  Value* node(std::string_view op, Inputs inputs, Attributes attributes, TensorType type);
  std::vector<Value*> nodes(std::string_view op, Inputs inputs, Attributes attributes,
                            std::vector<TensorType> types);
  /// An operator that the model's opset may be too low for, or of another domain.
  struct Needs {
    int opset = 0;
    std::string domain;
    int domain_version = 1;
  };
  std::vector<Value*> nodes(std::string_view op, Inputs inputs, Attributes attributes,
                            std::vector<TensorType> types, const Needs& needs);

  // Elementwise.
  Value* unary(std::string_view op, Value* x);
  Value* binary(std::string_view op, Value* a, Value* b);
  Value* compare(std::string_view op, Value* a, Value* b);  // gives bool
  Value* logical(std::string_view op, Value* a, Value* b) { return binary(op, a, b); }
  Value* logical_not(Value* x) { return unary("Not", x); }
  Value* cast(Value* x, DType dtype);
  /// Of equal dtypes, bool too.
  Value* where(Value* condition, Value* a, Value* b);

  Value* add(Value* a, Value* b) { return binary("Add", a, b); }
  Value* sub(Value* a, Value* b) { return binary("Sub", a, b); }
  Value* mul(Value* a, Value* b) { return binary("Mul", a, b); }
  Value* div(Value* a, Value* b) { return binary("Div", a, b); }
  /// With a number of the dtype of A.
  Value* add(Value* a, double b) { return binary("Add", a, number(b, a->type.dtype)); }
  Value* sub(Value* a, double b) { return binary("Sub", a, number(b, a->type.dtype)); }
  Value* mul(Value* a, double b) { return binary("Mul", a, number(b, a->type.dtype)); }
  Value* div(Value* a, double b) { return binary("Div", a, number(b, a->type.dtype)); }

  // Shapes. Axes may be negative.
  Value* reshape(Value* x, const Sizes& sizes);
  /// What a Reshape from sizes to sizes is given where that is a constant, with 0 for sizes that
  /// stay and -1 for one that follows.
  std::optional<std::vector<int64_t>> reshape_target(const Sizes& from, const Sizes& to);
  /// A Reshape, whatever X comes from.
  Value* plain_reshape(Value* x, const Sizes& sizes);
  Value* transpose(Value* x, const std::vector<int64_t>& permutation);
  Value* swap_axes(Value* x, int64_t a, int64_t b);
  Value* unsqueeze(Value* x, std::vector<int64_t> axes);  // of the result
  Value* squeeze(Value* x, std::vector<int64_t> axes);
  /// Requires: SIZES is what X broadcasts to.
  Value* expand(Value* x, const Sizes& sizes);
  Value* concat(const Inputs& parts, int64_t axis);
  /// START and END as torch counts: negative from the end, then clamped. STEP > 0.
  Value* slice(Value* x, int64_t axis, ir::Expr start, ir::Expr end, int64_t step = 1);
  std::vector<Value*> split(Value* x, int64_t axis, const Sizes& parts);
  Value* gather(Value* x, Value* indices, int64_t axis);
  /// X at INDEX of AXIS, which disappears.
  Value* select(Value* x, int64_t axis, ir::Expr index);
  Value* pad(Value* x, const Sizes& before, const Sizes& after, std::string_view mode = "constant",
             Value* fill = nullptr);
  Value* tile(Value* x, const Sizes& repeats);

  // Reductions: OP of "ReduceSum", "ReduceMean", ... over AXES; all of them where that is empty.
  Value* reduce(std::string_view op, Value* x, std::vector<int64_t> axes, bool keep);
  Value* arg(std::string_view op, Value* x, int64_t axis, bool keep);  // int64
  Value* softmax(Value* x, int64_t axis, std::string_view op = "Softmax");

  // Products.
  Value* matmul(Value* a, Value* b);
  /// alpha * a * b + beta * c, of two dimensions; C may be null.
  Value* gemm(Value* a, Value* b, Value* c, bool transpose_b, double alpha = 1, double beta = 1);

  /// start, start + step, ... : COUNT of them.
  Value* range(Value* start, Value* step, ir::Expr count);

  /// The sizes of what A and B broadcast to.
  Sizes broadcast(const Sizes& a, const Sizes& b);
  /// AXIS counted from the front. Requires: within RANK.
  static int64_t axis_of(int64_t axis, size_t rank) {
    return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  }
  ir::Expr product(std::span<const ir::Expr> sizes);
  ir::Expr size_of(const Value* x, int64_t axis);

  // Subgraphs: nodes between begin and end go into a graph of their own, which sees what is
  // outside.
  void begin_graph(std::string name);
  std::shared_ptr<Graph> end_graph(std::vector<GraphOutput> outputs);
  /// An input of the subgraph that was begun last.
  Value* graph_input(TensorType type);

 private:
  struct Scope {
    std::shared_ptr<Graph> graph;  // null: that of the model
    std::map<std::string, std::vector<Value*>> made;
    std::map<uint32_t, Value*> integers;  // expressions that are tensors already
  };

  Graph& graph() { return scopes_.back().graph ? *scopes_.back().graph : model_.graph; }
  std::vector<Value*> append(std::string_view op, Inputs inputs, Attributes attributes,
                             std::vector<TensorType> types, const Needs& needs);
  static void same_dtype(std::string_view op, const Value* a, const Value* b);
  Value* symbol_tensor(size_t index);
  void raise_opset(int opset);

  Model& model_;
  std::optional<int> pinned_;
  ir::Origin origin_;
  std::string source_;
  std::vector<Scope> scopes_;
  std::map<std::string, Value*> constants_;
  struct SymbolPlace {
    Value* value = nullptr;
    std::optional<int64_t> axis;  // absent: the value itself
    size_t depth = 0;             // of the scope in which it can be seen
    int64_t factor = 1;           // what lies there is factor * symbol + offset
    int64_t offset = 0;
  };
  std::map<size_t, SymbolPlace> symbol_places_;
  /// Where a symbol can be computed from; for those that have no place of their own.
  std::map<size_t, SymbolPlace> derived_places_;
  const SymbolPlace* place_of(size_t index) const;
};

/// Whether VALUE is an initializer whose bytes are small enough to compute with.
bool is_small_constant(const Value* value);

}  // namespace mlc::onnx
