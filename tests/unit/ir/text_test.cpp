#include "catch.h"
#include "mlc/ir/graph.h"

using namespace mlc;
using namespace mlc::ir;

namespace {

// Everything that the form has, as it is printed.
constexpr const char* kEverything = R"(graph "every \x22thing" {
  symbol batch in 1..1024
  symbol u0 in 0..
  symbol shift in -3..5
  input %x: f32[batch, 3]
  input %"a b": ?[2*batch + 1, u0//2]
  input %n: int(u0)
  input %flag: boolean
  parameter %fc.weight: f32[10, 3]
  buffer %running: f32
  constant %table: i64[]
  %0: f32[batch, 10] = aten::linear(input=%x, weight=%fc.weight, bias=none) @ "fc"
  %left: f32, %right: f32 = aten::chunk(self=%0, chunks=2, dim=-1) @ "" "model.py:12"
  %2: f32 = aten::op(a=[], b=[1, batch, shift - 1], c=[true, false], d=[0.5, -1e-05, -inf], e=["s", "t"], f=[%left, none], g=dtype(bf16), h=device("cuda:0"), i=layout("strided"), j=memory_format("channels_last"), k=-2.0, l=nan, m="text\x0a", n=false, o=-9223372036854775808, "odd name"=9223372036854775807)
  %3: f32 = prim::If(condition=%flag) {
    %4: f32 = aten::neg(self=%2)
    return "0"=%4
  } {
    return "0"=%2
  }
  %5: f32 = prim::Loop(trips=%n, condition=true, carried=[%3]) {
    given %i: int
    given %h: f32
    return next=true, h=%h
  }
  return y=%5, z=none
}
)";

std::string complaint(const std::string& text) {
  const auto graph = parse(text, "g.ir");
  INFO(text);
  REQUIRE(!graph.ok());
  CHECK(graph.error().kind() == ErrorKind::corrupt);
  return graph.error().message().substr(0, graph.error().message().find('\n'));
}

std::string in_graph(const std::string& lines) {
  return "graph \"g\" {\n  input %x: f32\n" + lines + "\n}\n";
}

}  // namespace

TEST_CASE("text of a graph reads back to the same text") {
  const auto graph = parse(kEverything, "g.ir");
  INFO((graph.ok() ? "" : graph.error().text()));
  REQUIRE(graph.ok());
  CHECK(to_text(*graph) == kEverything);
  CHECK(graph->inputs().size() == 4);
  CHECK(graph->weights().size() == 3);
}

TEST_CASE("spaces and comments do not matter") {
  const auto graph = parse("graph\"g\"{input%x:f32 # the image\nreturn y=%x}", "g.ir");
  REQUIRE(graph.ok());
  CHECK(to_text(*graph) == "graph \"g\" {\n  input %x: f32\n  return y=%x\n}\n");
}

TEST_CASE("errors in the text of a graph point at it") {
  CHECK(complaint("") == "1:1: expected \"graph\", found the end");
  CHECK(complaint("graph \"g\" {") == "1:12: expected an operator, found the end");
  CHECK(complaint(in_graph("return y=%z")) == "3:10: %z is not defined");
  CHECK(complaint(in_graph("input %x: f32")) == "3:7: %x is defined already");
  CHECK(complaint(in_graph("%0: f33 = aten::relu()")) == "3:5: there is no type \"f33\"");
  CHECK(complaint(in_graph("%0: f32[a] = aten::relu()")) == "3:9: there is no symbol \"a\"");
  CHECK(complaint(in_graph("symbol min in 1..2")) ==
        "3:8: this name is taken or no name of a symbol");
  CHECK(complaint(in_graph("symbol a in 3..2")) ==
        "3:8: the bounds of this symbol leave it no value");
  CHECK(complaint(in_graph("relu(self=%x)")) == "3:5: expected \":\", found \"(\"");
  CHECK(complaint(in_graph("aten::relu(self=)")) ==
        "3:17: expected a number or a name, found \")\"");
  CHECK(complaint(in_graph("aten::f(a=[1, true])")) == "3:15: there is no symbol \"true\"");
  CHECK(complaint(in_graph("aten::f(a=1e999)")) == "3:11: this number does not fit a double");
  CHECK(complaint(in_graph("aten::f(a=\"open)")) ==
        "3:11: expected a number or a name, found \"\\\"\"");
  CHECK(complaint(in_graph("parameter %w: int")) == "3:1: only tensors can be weights");
}

TEST_CASE("a graph whose text is well-formed may be none") {
  const auto graph = parse(in_graph("%0: f32 = prim::If() { return }\nreturn"), "g.ir");
  REQUIRE(!graph.ok());
  CHECK(graph.error().text().find("it has 1 block, not 2") != std::string::npos);
}
