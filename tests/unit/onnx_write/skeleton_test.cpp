#include "mlc/onnx_write/skeleton.h"

#include "catch.h"
#include "onnx_write/sample_models.h"

#include <algorithm>
#include <memory>
#include <variant>

#include <onnx/onnx_pb.h>

using namespace mlc;
using namespace mlc::onnx;
using Catch::Matchers::Contains;
using sample::Sketch;
namespace pb = ::onnx;

namespace {

struct Parsed {
  Skeleton skeleton;
  pb::ModelProto model;
  const pb::GraphProto& graph() const { return model.graph(); }
};

Parsed parse(const Sketch& sketch) {
  auto made = make_skeleton(sketch.model);
  INFO((made.ok() ? std::string() : made.error().text()));
  REQUIRE(made.ok());
  Parsed out{std::move(*made), {}};
  REQUIRE(out.model.ParseFromString(out.skeleton.model_head + out.skeleton.model_tail));
  REQUIRE(out.model.mutable_graph()->ParseFromString(out.skeleton.graph_head +
                                                     out.skeleton.graph_tail));
  return out;
}

std::string problem(const Sketch& sketch) {
  const auto made = make_skeleton(sketch.model);
  REQUIRE(!made.ok());
  CHECK(made.error().kind() == ErrorKind::internal);
  return made.error().text();
}

std::vector<std::string> names(const std::vector<Initializer>& initializers) {
  std::vector<std::string> out;
  for (const Initializer& each : initializers) out.push_back(each.name);
  return out;
}

template <class T>
std::vector<std::string> texts(const T& range) {
  return {range.begin(), range.end()};
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a model has its versions, nodes, types and metadata") {
  const Parsed out = parse(sample::linear());
  CHECK(out.model.producer_name() == "mlc");
  CHECK(!out.model.producer_version().empty());
  REQUIRE(out.model.opset_import_size() == 1);
  CHECK(out.model.opset_import(0).version() == 17);
  REQUIRE(out.model.metadata_props_size() == 1);
  CHECK(out.model.metadata_props(0).key() == "source");
  CHECK(out.graph().name() == "net");

  REQUIRE(out.graph().node_size() == 2);
  CHECK(out.skeleton.node_count == 2);
  const pb::NodeProto& add = out.graph().node(1);
  CHECK((add.op_type() == "Add" && add.name() == "/y" && !add.has_domain()));
  CHECK(texts(add.input()) == Names{"product", "fc.bias"});
  CHECK(names(out.skeleton.initializers) == Names{"fc.weight", "fc.bias"});

  REQUIRE(out.graph().input_size() == 1);
  const auto& shape = out.graph().input(0).type().tensor_type().shape();
  CHECK((shape.dim(0).dim_param() == "batch" && shape.dim(1).dim_value() == 3));
  // What lies between inputs and outputs has a type; weights have theirs by themselves.
  REQUIRE(out.graph().value_info_size() == 1);
  CHECK(out.graph().value_info(0).name() == "product");
}

TEST_CASE("sizes are numbers or expressions") {
  const Parsed out = parse(sample::symbolic());
  const auto& half = out.graph().output(1).type().tensor_type().shape();
  CHECK((half.dim(0).dim_param() == "n//2" && half.dim(1).dim_value() == 6));
}

TEST_CASE("the IR version is the oldest that the opset allows") {
  const std::pair<int, int> versions[] = {{13, 7}, {14, 7}, {15, 8},  {16, 8},  {17, 8},  {18, 8},
                                          {19, 9}, {20, 9}, {21, 10}, {22, 10}, {23, 11}, {24, 12}};
  for (const auto& [opset, ir] : versions) {
    INFO(opset);
    Sketch sketch = sample::linear();
    sketch.model.opset = opset;
    CHECK(parse(sketch).model.ir_version() == ir);
  }
  for (const int opset : {12, 25}) {
    Sketch sketch = sample::linear();
    sketch.model.opset = opset;
    CHECK_THAT(problem(sketch), Contains("opset " + std::to_string(opset)));
  }
}

TEST_CASE("other domains have their versions") {
  Sketch sketch = sample::linear();
  sketch.model.domains = {{"com.microsoft", 1}, {"ai.onnx.ml", 3}};
  const Parsed out = parse(sketch);
  REQUIRE(out.model.opset_import_size() == 3);
  CHECK(out.model.opset_import(1).domain() == "ai.onnx.ml");
  CHECK((out.model.opset_import(2).domain() == "com.microsoft" &&
         out.model.opset_import(2).version() == 1));
}

TEST_CASE("the axes of reductions are an input where the opset has them so") {
  const auto inputs = [](const Parsed& out, int node) {
    return texts(out.graph().node(node).input());
  };
  const Parsed old = parse(sample::reductions(17));
  CHECK(inputs(old, 0) == Names{"x"});
  CHECK(old.graph().node(0).attribute_size() == 2);
  CHECK(inputs(old, 1) == Names{"x", "axes_1"});
  CHECK(old.graph().node(1).attribute_size() == 1);

  const Parsed now = parse(sample::reductions(18));
  CHECK(inputs(now, 0) == Names{"x", "axes_1"});
  CHECK(inputs(now, 2) == Names{"x", "axes_0"});
  // The same axes are one tensor.
  CHECK(names(now.skeleton.initializers) == Names{"axes_1", "axes_0"});
  const auto bytes = now.skeleton.initializers[0].data->produce();
  REQUIRE(bytes.ok());
  CHECK(as_text(bytes->bytes) == std::string_view("\1\0\0\0\0\0\0\0", 8));
}

TEST_CASE("axes take no name that is taken") {
  Sketch sketch = sample::reductions(18);
  sketch.model.graph.inputs[0]->name = "axes_1";
  CHECK(names(parse(sketch).skeleton.initializers) == Names{"axes_1_1", "axes_0"});
}

TEST_CASE("operators of other domains keep their axes") {
  Sketch sketch = sample::reductions(18);
  sketch.model.graph.nodes[0]->domain = "com.x";
  CHECK(parse(sketch).graph().node(0).attribute_size() == 2);
}

TEST_CASE("inner graphs read the values and weights of the outer one") {
  const Parsed out = parse(sample::branch());
  CHECK(names(out.skeleton.initializers) == Names{"one", "two"});
  CHECK(out.skeleton.node_count == 4);
  const pb::NodeProto& branch = out.graph().node(1);
  REQUIRE(branch.attribute_size() == 2);
  CHECK(branch.attribute(0).type() == pb::AttributeProto::GRAPH);
  const pb::GraphProto& yes = branch.attribute(0).g();
  CHECK(texts(yes.node(0).input()) == Names{"x", "outer"});
  CHECK(texts(branch.attribute(1).g().node(0).input()) == Names{"x", "two"});
  REQUIRE(yes.output_size() == 1);
  CHECK((yes.output(0).name() == "then_out" && yes.initializer_size() == 0));
}

TEST_CASE("an output of another name than its value is a copy of it") {
  const Parsed out = parse(sample::passed_through());
  REQUIRE(out.graph().node_size() == 4);
  const char* expected[][2] = {{"y", "again"}, {"x", "same"}, {"five", "fixed"}};
  for (int i = 0; i < 3; ++i) {
    const pb::NodeProto& identity = out.graph().node(i + 1);
    CHECK(identity.op_type() == "Identity");
    CHECK((identity.input(0) == expected[i][0] && identity.output(0) == expected[i][1]));
  }
}

TEST_CASE("attributes of all kinds keep their values") {
  Sketch sketch = sample::linear();
  const DataRef tensor = sketch.integers("ints", {4, 5})->data;
  sketch.model.graph.nodes[0]->attributes = {{"i", int64_t{-1}},
                                             {"f", 0.5F},
                                             {"s", std::string("text")},
                                             {"is", std::vector<int64_t>{1, 2}},
                                             {"none", std::vector<int64_t>{}},
                                             {"fs", std::vector<float>{0.25F}},
                                             {"t", tensor}};
  const Parsed out = parse(sketch);
  const auto& list = out.graph().node(0).attribute();
  REQUIRE(list.size() == 7);
  CHECK((list[0].type() == pb::AttributeProto::INT && list[0].i() == -1));
  CHECK((list[1].type() == pb::AttributeProto::FLOAT && list[1].f() == 0.5F));
  CHECK((list[2].type() == pb::AttributeProto::STRING && list[2].s() == "text"));
  CHECK((list[3].type() == pb::AttributeProto::INTS && list[3].ints(1) == 2));
  CHECK((list[4].type() == pb::AttributeProto::INTS && list[4].ints_size() == 0));
  CHECK((list[5].type() == pb::AttributeProto::FLOATS && list[5].floats(0) == 0.25F));
  CHECK((list[6].type() == pb::AttributeProto::TENSOR && list[6].t().dims(0) == 2));
  CHECK(list[6].t().data_type() == pb::TensorProto::INT64);
  CHECK((list[6].t().raw_data().size() == 16 && list[6].t().raw_data()[8] == 5));
}

TEST_CASE("inputs that are left out have no name, at the end no place either") {
  Sketch sketch = sample::linear();
  std::vector<Value*>& inputs = sketch.model.graph.nodes[1]->inputs;
  inputs = {inputs[0], nullptr, inputs[1], nullptr, nullptr};
  CHECK(texts(parse(sketch).graph().node(1).input()) == Names{"product", "", "fc.bias"});
}

TEST_CASE("models that are not whole are defects") {
  Sketch sketch = sample::linear();
  Node& product = *sketch.model.graph.nodes[0];
  SECTION("a value without a name") {
    product.outputs[0]->name.clear();
    CHECK_THAT(problem(sketch), Contains("has no name") && Contains("/product"));
  }
  SECTION("a name for two") {
    product.outputs[0]->name = "fc.bias";
    CHECK_THAT(problem(sketch), Contains("two values have the name \"fc.bias\""));
  }
  SECTION("an output with the name of another value") {
    sketch.model.graph.outputs.push_back({"product", sketch.model.graph.outputs[0].value});
    CHECK_THAT(problem(sketch), Contains("two values have the name \"product\""));
  }
  SECTION("a name that is not UTF-8") {
    product.outputs[0]->name = "a\xff";
    CHECK_THAT(problem(sketch), Contains("is not UTF-8"));
  }
  SECTION("nodes out of order") {
    std::swap(sketch.model.graph.nodes[0], sketch.model.graph.nodes[1]);
    CHECK_THAT(problem(sketch), Contains("Add \"/y\": \"product\" is read before it is made"));
  }
  SECTION("an output of nothing") {
    sketch.model.graph.outputs.push_back({"z", nullptr});
    CHECK_THAT(problem(sketch), Contains("\"z\""));
  }
  SECTION("a type that ONNX has not") {
    product.outputs[0]->type.dtype = DType::qi32;
    CHECK_THAT(problem(sketch), Contains("ONNX has no qint32 tensors"));
  }
  SECTION("a tensor of an attribute of another size") {
    auto data = std::make_shared<TensorData>(*product.inputs[1]->data);
    data->sizes = {5};
    product.attributes.push_back({"value", DataRef(data)});
    CHECK_THAT(problem(sketch), Contains("attribute value: a tensor of 20 bytes has 24 bytes"));
  }
}

TEST_CASE("values of inner graphs stay inside") {
  Sketch sketch = sample::branch();
  Node& node = *sketch.model.graph.nodes[1];
  Graph& yes = *std::get<std::shared_ptr<Graph>>(node.attributes[0].value);
  SECTION("read outside") {
    sketch.model.graph.outputs.push_back({"leak", yes.outputs[0].value});
    CHECK_THAT(problem(sketch), Contains("is read before it is made"));
  }
  SECTION("outer values given as inner results without a copy") {
    Value* outer = sketch.model.graph.nodes[0]->outputs[0];
    yes.outputs[0] = {outer->name, outer};
    CHECK_THAT(problem(sketch), Contains("output \"outer\" of \"then\" is a value of an outer"));
  }
  SECTION("outer values given as inner results under another name") {
    Value* outer = sketch.model.graph.nodes[0]->outputs[0];
    yes.outputs[0] = {"copy", outer};
    CHECK(parse(sketch).graph().node(1).attribute(0).g().node(1).op_type() == "Identity");
  }
}
