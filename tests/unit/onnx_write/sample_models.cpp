#include "onnx_write/sample_models.h"

#include <memory>
#include <span>

using namespace mlc;
using namespace mlc::onnx;

namespace sample {
namespace {

template <class T>
DataRef data_of(DType dtype, std::vector<int64_t> sizes, std::vector<T> values) {
  auto data = std::make_shared<TensorData>();
  data->dtype = dtype;
  data->sizes = std::move(sizes);
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  data->produce = [owner]() -> Result<Buffer> {
    return Buffer{std::as_bytes(std::span(*owner)), owner};
  };
  return data;
}

}  // namespace

Sketch::Sketch(int opset) {
  model.opset = opset;
  model.program = std::make_shared<ir::Graph>("net");
  model.graph.name = "net";
}

std::vector<ir::Expr> Sketch::sizes(std::vector<int64_t> values) {
  std::vector<ir::Expr> out;
  for (const int64_t value : values) out.push_back(size(value));
  return out;
}

Value* Sketch::value(std::string name, DType dtype, std::vector<ir::Expr> sizes) {
  Value* out = model.new_value({dtype, std::move(sizes)});
  out->name = std::move(name);
  return out;
}

Value* Sketch::input(std::string name, DType dtype, std::vector<ir::Expr> sizes) {
  model.graph.inputs.push_back(value(std::move(name), dtype, std::move(sizes)));
  return model.graph.inputs.back();
}

Value* Sketch::floats(std::string name, std::vector<int64_t> shape, std::vector<float> values) {
  Value* out = value(std::move(name), DType::f32, sizes(shape));
  out->data = data_of(DType::f32, std::move(shape), std::move(values));
  return out;
}

Value* Sketch::integers(std::string name, std::vector<int64_t> values) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
  Value* out = value(std::move(name), DType::i64, sizes(shape));
  out->data = data_of(DType::i64, shape, std::move(values));
  return out;
}

Value* Sketch::filled(std::string name, std::vector<int64_t> shape, float fill) {
  Value* out = value(std::move(name), DType::f32, sizes(shape));
  auto data = std::make_shared<TensorData>();
  data->sizes = std::move(shape);
  const uint64_t count = data->count();
  data->produce = [count, fill]() -> Result<Buffer> {
    const auto owner = std::make_shared<const std::vector<float>>(count, fill);
    return Buffer{std::as_bytes(std::span(*owner)), owner};
  };
  out->data = std::move(data);
  return out;
}

Value* Sketch::node(std::string op, std::vector<Value*> inputs, std::string output,
                    std::vector<ir::Expr> shape, std::vector<Attribute> attributes, Graph* graph) {
  Node* made = model.new_node();
  made->op = std::move(op);
  made->name = "/" + output;
  made->inputs = std::move(inputs);
  made->attributes = std::move(attributes);
  made->outputs = {value(std::move(output), DType::f32, std::move(shape))};
  made->outputs[0]->producer = made;
  (graph ? *graph : model.graph).nodes.push_back(made);
  return made->outputs[0];
}

Sketch linear() {
  Sketch s;
  const ir::Expr batch = s.model.symbols().symbol("batch", {1, 1024});
  Value* x = s.input("x", DType::f32, {batch, s.size(3)});
  Value* product = s.node("MatMul", {x, s.floats("fc.weight", {3, 2}, {1, 2, 3, 4, 5, 6})},
                          "product", {batch, s.size(2)});
  s.output(s.node("Add", {product, s.floats("fc.bias", {2}, {10, 20})}, "y", {batch, s.size(2)}));
  s.model.metadata = {{"source", "linear.pt"}};
  return s;
}

Sketch branch() {
  Sketch s;
  Value* x = s.input("x", DType::f32, s.sizes({2}));
  Value* flag = s.input("flag", DType::boolean, {});
  Value* outer = s.node("Add", {x, s.floats("one", {}, {1})}, "outer", s.sizes({2}));
  const auto half = [&](std::string name, std::string op, Value* other) {
    auto graph = std::make_shared<Graph>();
    graph->name = name;
    Value* out = s.node(std::move(op), {x, other}, name + "_out", s.sizes({2}), {}, graph.get());
    graph->outputs = {{out->name, out}};
    return graph;
  };
  const auto yes = half("then", "Add", outer);
  const auto no = half("else", "Mul", s.floats("two", {1}, {2}));
  s.output(s.node("If", {flag}, "y", s.sizes({2}), {{"then_branch", yes}, {"else_branch", no}}));
  return s;
}

Sketch symbolic() {
  Sketch s;
  ir::Symbols& symbols = s.model.symbols();
  const ir::Expr n = symbols.symbol("n", {2, 1024});
  const ir::Expr half = symbols.floor_divide(n, s.size(2));
  Value* x = s.input("x", DType::f32, {n, s.size(2), s.size(3)});
  Value* like = s.input("like", DType::f32, {half});
  Value* more = s.node("Add", {x, s.floats("one", {}, {1})}, "more", {n, s.size(2), s.size(3)});
  Value* y = s.node("Reshape", {more, s.integers("to", {-1, 6})}, "y", {n, s.size(6)});
  Value* count = s.node("Shape", {like}, "count", s.sizes({1}));
  count->type.dtype = DType::i64;
  Value* rows = s.node("Slice", {y, s.integers("from", {0}), count, s.integers("axis", {0})},
                       "half", {half, s.size(6)});
  s.output(y);
  s.output(rows);
  return s;
}

Sketch reductions(int opset) {
  Sketch s(opset);
  Value* x = s.input("x", DType::f32, s.sizes({2, 3}));
  const auto axes = [](int64_t axis) {
    return std::vector<Attribute>{{"axes", std::vector<int64_t>{axis}}, {"keepdims", int64_t{1}}};
  };
  Value* m = s.node("ReduceMean", {x}, "m", s.sizes({2, 1}), axes(1));
  Value* rows = s.node("ReduceSum", {x}, "rows", s.sizes({2, 1}), axes(1));
  Value* columns = s.node("ReduceSum", {x}, "columns", s.sizes({1, 3}), axes(0));
  Value* both = s.node("Add", {rows, m}, "both", s.sizes({2, 1}));
  s.output(m);
  s.output(s.node("Add", {both, columns}, "s", s.sizes({2, 3})));
  return s;
}

Sketch three_tensors() {
  Sketch s;
  Value* x = s.input("x", DType::f32, s.sizes({300, 256}));
  Value* first = s.node("Add", {x, s.filled("a", {256}, 1)}, "first", s.sizes({300, 256}));
  Value* second = s.node("Add", {first, s.filled("b", {300, 1}, 2)}, "second", s.sizes({300, 256}));
  s.output(s.node("Add", {second, s.floats("c", {1, 1}, {4})}, "y", s.sizes({300, 256})));
  return s;
}

Sketch passed_through() {
  Sketch s;
  Value* x = s.input("x", DType::f32, s.sizes({2}));
  Value* y = s.node("Relu", {x}, "y", s.sizes({2}));
  s.output(y);
  s.model.graph.outputs.push_back({"again", y});
  s.model.graph.outputs.push_back({"same", x});
  s.model.graph.outputs.push_back({"fixed", s.floats("five", {1}, {5})});
  return s;
}

Sketch wide(size_t count, int64_t side) {
  Sketch s;
  Value* x = s.input("x", DType::f32, s.sizes({1, side}));
  for (size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    x = s.node("MatMul", {x, s.filled("w" + number, {side, side}, 0)}, "x" + number,
               s.sizes({1, side}));
  }
  s.output(x);
  return s;
}

const std::vector<Named>& all() {
  static const std::vector<Named> models = {
      {"linear", linear},
      {"branch", branch},
      {"symbolic", symbolic},
      {"reductions_13", [] { return reductions(13); }},
      {"reductions_18", [] { return reductions(18); }},
      {"three_tensors", three_tensors},
      {"passed_through", passed_through},
  };
  return models;
}

}  // namespace sample
