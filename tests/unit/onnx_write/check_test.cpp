#include "mlc/onnx_write/check.h"

#include "catch.h"
#include "onnx_write/sample_models.h"

#include <memory>
#include <variant>

using namespace mlc;
using namespace mlc::onnx;
using Catch::Matchers::Contains;
using sample::Sketch;

namespace {

Status checked(const Sketch& sketch) {
  const auto skeleton = make_skeleton(sketch.model);
  REQUIRE(skeleton.ok());
  return check_skeleton(*skeleton);
}

Node& node(const Sketch& sketch, size_t index) {
  return *sketch.model.graph.nodes[index];
}
Value& result(const Sketch& sketch, size_t index) {
  return *node(sketch, index).outputs[0];
}
/// The graph of the first branch of branch().
Graph& inner(const Sketch& sketch) {
  return *std::get<std::shared_ptr<Graph>>(node(sketch, 1).attributes[0].value);
}

struct Spoilt {
  const char* what;
  Sketch (*make)();
  void (*spoil)(Sketch&);
  const char* message;
};

const Spoilt kSpoilt[] = {
    {"an operator that does not exist", sample::linear,
     [](Sketch& s) { node(s, 0).op = "MatMull"; },
     "No Op registered for MatMull with domain_version of 17; Bad node spec for node. Name: "
     "/product OpType: MatMull"},
    {"an operator of a later opset", sample::linear, [](Sketch& s) { node(s, 1).op = "Gelu"; },
     "No Op registered for Gelu"},
    {"an attribute that the operator has not", sample::linear,
     [](Sketch& s) {
       node(s, 1).attributes.push_back({"alpha", int64_t{1}});
     },
     "Unrecognized attribute: alpha for operator Add"},
    {"an input too many", sample::linear,
     [](Sketch& s) { node(s, 1).inputs.push_back(node(s, 0).inputs[0]); }, "/y"},
    {"an inner operator that does not exist", sample::branch,
     [](Sketch& s) { inner(s).nodes[0]->op = "Foo"; }, "No Op registered for Foo"},
    {"a domain without a version", sample::linear,
     [](Sketch& s) { node(s, 0).domain = "com.microsoft"; },
     "No opset import for domain 'com.microsoft'"},
    {"too few dimensions in between", sample::linear,
     [](Sketch& s) { result(s, 0).type.sizes.pop_back(); },
     "node name: /product): [ShapeInferenceError] Inferred shape and existing shape differ in "
     "rank"},
    {"another size in between", sample::linear,
     [](Sketch& s) { result(s, 0).type.sizes[1] = s.size(7); },
     "node name: /product): [ShapeInferenceError] Inferred shape and existing shape differ in "
     "dimension 1: (2) vs (7)"},
    {"another dtype in between", sample::linear,
     [](Sketch& s) { result(s, 0).type.dtype = DType::f64; }, "node name: /y"},
    {"too few dimensions of an output", sample::linear,
     [](Sketch& s) { result(s, 1).type.sizes.pop_back(); }, "node name: /y"},
    {"another size of an output", sample::linear,
     [](Sketch& s) { result(s, 1).type.sizes[1] = s.size(7); }, "node name: /y"},
    {"another dtype of an output", sample::linear,
     [](Sketch& s) { result(s, 1).type.dtype = DType::f64; },
     "node name: /y): [TypeInferenceError] Inferred elem type differs"},
    {"another size in an inner graph", sample::branch,
     [](Sketch& s) { inner(s).nodes[0]->outputs[0]->type.sizes[0] = s.size(7); },
     "node name: /then_out"},
    {"another size than a small tensor says", sample::symbolic,
     [](Sketch& s) { result(s, 1).type.sizes[1] = s.size(7); }, "op_type:Reshape, node name: /y"},
    {"another size than a large tensor has", sample::three_tensors,
     [](Sketch& s) { result(s, 1).type.sizes[0] = s.size(7); }, "node name: /second"},
    {"a graph without a name", sample::linear, [](Sketch& s) { s.model.graph.name.clear(); },
     "Field 'name' of 'graph' is required to be non-empty"},
};

}  // namespace

TEST_CASE("models that ONNX accepts pass") {
  for (const auto& [name, make] : sample::all()) {
    INFO(name);
    const Status status = checked(make());
    INFO((status.ok() ? std::string() : status.error().text()));
    CHECK(status.ok());
  }
}

TEST_CASE("models that ONNX refuses are defects, which name the node") {
  for (const Spoilt& row : kSpoilt) {
    INFO(row.what);
    Sketch sketch = row.make();
    row.spoil(sketch);
    const Status status = checked(sketch);
    REQUIRE(!status.ok());
    CHECK(status.error().kind() == ErrorKind::internal);
    CHECK_THAT(status.error().text(),
               Catch::StartsWith("checking the ONNX model: ") && Contains(row.message));
    CHECK(status.error().text().find("\\x0a") == std::string::npos);
  }
}

TEST_CASE("operators of other domains are believed") {
  Sketch sketch = sample::linear();
  node(sketch, 0).op = "FusedMatMul";
  node(sketch, 0).domain = "com.microsoft";
  sketch.model.domains["com.microsoft"] = 1;
  CHECK(checked(sketch).ok());
  // What comes after them is looked at as before.
  result(sketch, 1).type.sizes[1] = sketch.size(7);
  CHECK(!checked(sketch).ok());
}

TEST_CASE("a model with hundreds of contradictions names the first") {
  Sketch sketch = sample::wide(200, 2);
  for (Node* each : sketch.model.graph.nodes) each->outputs[0]->type.sizes.pop_back();
  const Status status = checked(sketch);
  REQUIRE(!status.ok());
  CHECK_THAT(status.error().text(), Contains("node name: /x0)") && Contains(" more"));
  CHECK(status.error().text().size() < 2000);
}

TEST_CASE("checking reads no large weight") {
  Sketch sketch = sample::three_tensors();
  const auto refuse = [](Value* weight) {
    auto data = std::make_shared<TensorData>(*weight->data);
    data->produce = []() -> Result<Buffer> { return internal_error("read"); };
    weight->data = data;
  };
  refuse(node(sketch, 1).inputs[1]);  // 1200 bytes
  CHECK(checked(sketch).ok());
  refuse(node(sketch, 2).inputs[1]);  // 4 bytes
  const Status status = checked(sketch);
  REQUIRE(!status.ok());
  CHECK(status.error().text() == "checking the ONNX model: tensor c: read");
}

TEST_CASE("the version is that of a release") {
  const auto version = checker_version();
  REQUIRE(version.ok());
  CHECK(std::count(version->begin(), version->end(), '.') == 2);
}
