#include "mlc/onnx/builder.h"

#include "catch.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/finish.h"

#include <memory>

using namespace mlc;
using namespace mlc::onnx;

namespace {

/// A model with one input of f32[batch, 3, 4].
struct Fixture {
  Model model;
  Builder b;
  ir::Expr batch;
  Value* x;

  Fixture() : model(made()), b(model), batch(model.symbols().symbol("batch", {1, 64})) {
    x = model.new_value({DType::f32, {batch, b.expr(3), b.expr(4)}});
    x->name = "x";
    model.graph.inputs.push_back(x);
    b.define_symbols(x);
  }
  static Model made() {
    Model out;
    out.program = std::make_shared<ir::Graph>("test");
    return out;
  }
  size_t nodes() const { return model.graph.nodes.size(); }
};

}  // namespace

TEST_CASE("the builder makes the same node once") {
  Fixture f;
  REQUIRE(f.b.unary("Relu", f.x) == f.b.unary("Relu", f.x));
  REQUIRE(f.nodes() == 1);
}

TEST_CASE("nodes that change nothing do not appear") {
  Fixture f;
  Builder& b = f.b;
  CHECK(b.cast(f.x, DType::f32) == f.x);
  CHECK(b.reshape(f.x, f.x->type.sizes) == f.x);
  CHECK(b.transpose(b.transpose(f.x, {0, 2, 1}), {0, 2, 1}) == f.x);
  CHECK(b.squeeze(b.unsqueeze(f.x, {0}), {0}) == f.x);
  CHECK(b.slice(f.x, 1, b.expr(0), b.expr(INT64_MAX)) == f.x);
  CHECK(b.add(f.x, 0.0) == f.x);
  CHECK(b.mul(f.x, 1.0) == f.x);
}

TEST_CASE("what depends on small constants is computed") {
  Fixture f;
  Builder& b = f.b;
  Value* sum = b.add(b.integers({1, 2}), b.integers({10, 20}));
  CHECK(b.known_integers(sum) == std::vector<int64_t>{11, 22});
  Value* range =
      b.range(b.number(int64_t{0}, DType::i64), b.number(int64_t{1}, DType::i64), b.expr(3));
  Value* rows = b.unsqueeze(range, {1});
  Value* mask = b.cast(b.compare("LessOrEqual", range, rows), DType::i64);
  CHECK(b.known_integers(mask) == std::vector<int64_t>{1, 0, 0, 1, 1, 0, 1, 1, 1});
  CHECK(b.known_integers(b.slice(range, 0, b.expr(-2), b.expr(INT64_MAX))) ==
        std::vector<int64_t>{1, 2});
  CHECK(b.known_integers(b.binary("Mod", b.integers({-7}), b.integers({4}))) ==
        std::vector<int64_t>{1});
  CHECK(f.nodes() == 0);
}

TEST_CASE("reshape needs no node for sizes that it can leave to ONNX") {
  Fixture f;
  Value* y = f.b.reshape(f.x, {f.batch, f.b.expr(12)});
  const auto target = f.b.known_integers(y->producer->inputs[1]);
  CHECK(target == std::vector<int64_t>{0, 12});
  Value* z = f.b.reshape(f.x, {f.b.expr(2), f.b.symbols().multiply(f.batch, f.b.expr(6))});
  CHECK(f.b.known_integers(z->producer->inputs[1]) == std::vector<int64_t>{2, -1});
}

TEST_CASE("dtypes without a kernel are computed in another one") {
  Fixture f;
  Value* flags = f.b.cast(f.x, DType::boolean);
  Value* sum = f.b.binary("Add", flags, f.b.compare("Less", f.x, f.b.number(0.0, DType::f32)));
  CHECK(sum->type.dtype == DType::boolean);
  CHECK(sum->producer->op == "Cast");
  CHECK(sum->producer->inputs[0]->type.dtype == DType::i32);
}

TEST_CASE("operands of two dtypes are refused") {
  Fixture f;
  CHECK_THROWS_AS(f.b.add(f.x, f.b.number(int64_t{1}, DType::i64)), Unlowerable);
  CHECK_THROWS_AS(f.b.size_of(f.x, 3), Unlowerable);
  CHECK_THROWS_AS(f.b.transpose(f.x, {0, 0, 1}), Unlowerable);
  CHECK_THROWS_AS(f.b.concat({}, 0), Unlowerable);
}

TEST_CASE("the opset rises only to what a node needs, and not where it is pinned") {
  Fixture f;
  f.b.nodes("BitwiseNot", {f.b.cast(f.x, DType::i32)}, {}, {{DType::i32, f.x->type.sizes}},
            {.opset = 18, .domain = {}});
  CHECK(f.model.opset == 18);
  Model other = Fixture::made();
  Builder pinned(other, 13);
  CHECK_FALSE(pinned.can_use(17));
  CHECK(other.opset == 13);
}

TEST_CASE("transposed and cast weights are made when they are asked for") {
  const DataRef w = tensor_of_doubles({1, 2, 3, 4, 5, 6}, {2, 3}, DType::f32);
  const auto turned = array_of(*transpose_data(w, {1, 0}));
  REQUIRE(turned);
  CHECK(turned->sizes == std::vector<int64_t>{3, 2});
  CHECK(turned->doubles == std::vector<double>{1, 4, 2, 5, 3, 6});
  const auto half = array_of(*cast_data(w, DType::f16));
  REQUIRE(half);
  CHECK(half->dtype == DType::f16);
  CHECK(half->doubles == std::vector<double>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("a batch norm behind a convolution becomes part of its weights") {
  Fixture f;
  Builder& b = f.b;
  Value* image = f.model.new_value({DType::f32, {f.batch, b.expr(1), b.expr(1), b.expr(1)}});
  image->name = "image";
  f.model.graph.inputs.push_back(image);
  Value* w = b.floats({2, 3}, {2, 1, 1, 1}, DType::f32);
  const TensorType type{DType::f32, {f.batch, b.expr(2), b.expr(1), b.expr(1)}};
  Value* conv = b.node("Conv", {image, w}, {}, type);
  const auto of = [&](double x, double y) { return b.floats({x, y}, {2}, DType::f32); };
  Value* norm = b.node("BatchNormalization", {conv, of(2, 1), of(5, 0), of(1, 3), of(4, 1)},
                       {{"epsilon", 0.0F}}, type);
  f.model.graph.outputs.push_back({"y", norm});
  CHECK(finish(f.model).folded_norms == 1);
  REQUIRE(f.model.graph.nodes.size() == 1);
  const Node& only = *f.model.graph.nodes[0];
  CHECK(array_of(*only.inputs[1]->data)->doubles == std::vector<double>{2, 3});
  CHECK(array_of(*only.inputs[2]->data)->doubles == std::vector<double>{4, -3});
  CHECK(only.outputs[0]->name == "y");
}
