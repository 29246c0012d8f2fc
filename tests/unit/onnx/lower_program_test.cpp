#include "mlc/onnx/lower_program.h"

#include "catch.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/finish.h"

#include <memory>

using namespace mlc;
using namespace mlc::onnx;

namespace {

/// The program of TEXT, whose inputs are called x, y, ...
Program program_of(const std::string& text) {
  auto parsed = ir::parse(text, "test");
  REQUIRE(parsed.ok());
  Program out;
  out.graph = std::make_shared<ir::Graph>(std::move(*parsed));
  for (ir::Value* input : out.graph->inputs()) out.inputs.push_back({input->name(), input});
  for (ir::Value* weight : out.graph->weights()) {
    const auto sizes = fixed_sizes(out.graph->symbols(), *weight->tensor()->sizes);
    uint64_t count = 1;
    for (const int64_t size : *sizes) count *= static_cast<uint64_t>(size);
    out.weights.push_back({weight, tensor_of_doubles(std::vector<double>(count, 1), *sizes,
                                                     *weight->tensor()->dtype)});
  }
  for (size_t i = 0; i < out.graph->body().results()->arguments().size(); ++i) {
    out.outputs.push_back({"out" + std::to_string(i), i});
  }
  return out;
}

std::vector<std::string> operators(const Model& model) {
  std::vector<std::string> out;
  for (const Node* node : model.graph.nodes) out.push_back(node->op);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a linear layer of three dimensions is a product and a sum") {
  auto lowered = lower_program(program_of(R"(graph "net" {
    symbol batch in 1..64
    input %x: f32[batch, 5, 4]
    parameter %w: f32[3, 4]
    parameter %b: f32[3]
    %y: f32[batch, 5, 3] = aten::linear(input=%x, weight=%w, bias=%b) @ "fc"
    return y=%y
  })"),
                               {});
  REQUIRE(lowered.ok());
  CHECK(lowered->problems.empty());
  finish(lowered->model);
  CHECK(operators(lowered->model) == Names{"MatMul", "Add"});
  CHECK(lowered->model.graph.nodes[0]->name == "/fc/MatMul");
}

TEST_CASE("all problems are listed, with counts and the first place") {
  auto lowered = lower_program(program_of(R"(graph "net" {
    input %x: f32[3, 3]
    %a: f32[3, 3] = aten::no_such(self=%x) @ "first" "net.py:1"
    %b: f32[3, 3] = aten::no_such(self=%a) @ "second" "net.py:2"
    %c: f32[3, 3] = aten::dropout(input=%b, p=0.5, train=true) @ "drop" "net.py:3"
    return y=%c
  })"),
                               {});
  REQUIRE(lowered.ok());
  REQUIRE(lowered->problems.size() == 2);
  CHECK(lowered->problems[0].op == "aten::no_such");
  CHECK(lowered->problems[0].count == 2);
  CHECK(lowered->problems[0].first.text == "net.py:1");
  CHECK(lowered->problems[1].reason.find("training mode") != std::string::npos);
}

TEST_CASE("arguments of wrong kinds are problems, not crashes") {
  for (const char* node : {
           "aten::add.Tensor(self=%x, other=\"text\")",
           "aten::add.Tensor(self=%x)",
           "aten::permute(self=%x, dims=[0, 7])",
           "aten::select.int(self=%x, dim=5, index=0)",
           "aten::cat(tensors=[], dim=0)",
           "aten::conv2d(input=%x, weight=%x)",
           "aten::softmax.int(self=%x, dim=-9)",
           "aten::embedding(weight=1.5, indices=%x)",
           "aten::view(self=none, size=[3])",
           "aten::linear(input=%x, weight=[1, 2])",
       }) {
    INFO(node);
    auto lowered = lower_program(
        program_of(std::string("graph \"net\" {\n input %x: f32[3, 3]\n %y: f32[3, 3] = ") + node +
                   "\n return y=%y\n}"),
        {});
    REQUIRE(lowered.ok());
    CHECK(lowered->problems.size() == 1);
  }
}

TEST_CASE("an output that is an input is passed through") {
  auto lowered = lower_program(program_of(R"(graph "net" {
    input %x: f32[3]
    return a=%x, b=%x
  })"),
                               {});
  REQUIRE(lowered.ok());
  finish(lowered->model);
  CHECK(operators(lowered->model) == Names{"Identity", "Identity"});
}
