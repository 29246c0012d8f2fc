#include "mlc/passes/functionalize.h"

#include "catch.h"

#include <string>
#include <vector>

using namespace mlc;

namespace {

ir::Graph graph_of(const std::string& body) {
  auto parsed = ir::parse("graph \"net\" {\n input %x: f32[3, 4]\n" + body + "\n}", "test");
  REQUIRE(parsed.ok());
  return std::move(*parsed);
}

std::vector<std::string> operators(const ir::Graph& graph) {
  std::vector<std::string> out;
  for (const ir::Node* node : graph.body().nodes()) out.push_back(node->op().name);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a write through a view reaches the tensor that owns the memory") {
  ir::Graph graph = graph_of(R"(
    %y: f32[3, 4] = aten::clone(self=%x)
    %row: f32[4] = aten::select.int(self=%y, dim=0, index=1)
    %w: f32[4] = aten::fill_.Scalar(self=%row, value=7.0)
    return out=%y)");
  const auto done = passes::functionalize(graph);
  REQUIRE(done.ok());
  CHECK(done->writes == 1);
  CHECK(done->written.empty());
  CHECK(operators(graph) == Names{"clone", "select", "fill", "select_scatter"});
  const auto& out = std::get<ir::Value*>(graph.body().results()->arguments()[0].value);
  CHECK(out->producer()->op().name == "select_scatter");
  CHECK(ir::verify(graph).ok());
}

TEST_CASE("views see what was written to their base later") {
  ir::Graph graph = graph_of(R"(
    %y: f32[3, 4] = aten::clone(self=%x)
    %v: f32[12] = aten::view(self=%y, size=[12])
    %w: f32[3, 4] = aten::mul_.Scalar(self=%y, other=2.0)
    return out=%v)");
  REQUIRE(passes::functionalize(graph).ok());
  CHECK(operators(graph) == Names{"clone", "view", "mul", "view"});
}

TEST_CASE("the result of a write is the tensor itself") {
  ir::Graph graph = graph_of(R"(
    %y: f32[3, 4] = aten::clone(self=%x)
    %z: f32[3, 4] = aten::add_.Scalar(self=%y, other=1.0)
    %w: f32[3, 4] = aten::mul_.Scalar(self=%z, other=2.0)
    return out=%y)");
  REQUIRE(passes::functionalize(graph).ok());
  const auto& out = std::get<ir::Value*>(graph.body().results()->arguments()[0].value);
  CHECK(out->producer()->op().name == "mul");
}

TEST_CASE("a write into an input is reported") {
  ir::Graph graph = graph_of(R"(
    %w: f32[3, 4] = aten::add_.Scalar(self=%x, other=1.0)
    return out=%x)");
  const auto done = passes::functionalize(graph);
  REQUIRE(done.ok());
  REQUIRE(done->written.size() == 1);
  CHECK(done->written[0].into->name() == "x");
}

TEST_CASE("what may be a view is refused only where it matters") {
  const std::string write = R"(
    %y: f32[3, 4] = aten::clone(self=%x)
    %v: f32[12] = aten::reshape(self=%y, shape=[12])
    %w: f32[12] = aten::zero_(self=%v)
)";
  ir::Graph harmless = graph_of(write + "    return out=%v");
  CHECK(passes::functionalize(harmless).ok());
  ir::Graph ambiguous = graph_of(write + "    return out=%y");
  const auto refused = passes::functionalize(ambiguous);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("a write through an expanded view is refused by name") {
  ir::Graph graph = graph_of(R"(
    %y: f32[4] = aten::select.int(self=%x, dim=0, index=1)
    %v: f32[3, 4] = aten::expand(self=%y, size=[3, 4])
    %w: f32[3, 4] = aten::zero_(self=%v)
    return out=%x)");
  const auto refused = passes::functionalize(graph);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().text().find("aten::expand") != std::string::npos);
}

TEST_CASE("a branch that writes gives the new value") {
  ir::Graph graph = graph_of(R"(
    input %c: bool[]
    %y: f32[3, 4] = aten::clone(self=%x)
    prim::If(condition=%c) {
      %w: f32[3, 4] = aten::zero_(self=%y)
      return
    } {
      return
    }
    return out=%y)");
  REQUIRE(passes::functionalize(graph).ok());
  const auto& out = std::get<ir::Value*>(graph.body().results()->arguments()[0].value);
  CHECK(out->producer()->op().name == "If");
  CHECK(ir::verify(graph).ok());
}
