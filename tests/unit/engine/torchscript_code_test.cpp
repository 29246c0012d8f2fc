#include "mlc/engine/torchscript_code.h"

#include "catch.h"

using namespace mlc;
using Names = std::set<std::string>;

TEST_CASE("operators of other namespaces") {
  Names names;
  collect_operators(
      "  _0 = ops.torchvision.nms(a, b, 0.5)\n  x = ops.prim.data(y), ops.torchvision.nms(c)",
      names);
  CHECK(names == Names{"prim::data", "torchvision::nms"});
}

TEST_CASE("what only looks like one") {
  Names names;
  collect_operators("self.ops.a.b(1) myops.a.b(1) ops.a ops. ops.a.b ops..b(1) ops.a.(1)", names);
  CHECK(names.empty());
}

TEST_CASE("classes of C++") {
  Names names;
  collect_custom_classes("x : __torch__.torch.classes.my.Tokenizer\ny", names);
  CHECK(names == Names{"__torch__.torch.classes.my.Tokenizer"});
}

TEST_CASE("recurrent layers are seen, wherever their state comes from") {
  for (const char* name : {"lstm", "gru", "rnn_tanh", "rnn_relu"}) {
    CHECK(has_recurrence("_0 = torch." + std::string(name) + "(x, [h, c], weights)"));
  }
  CHECK(!has_recurrence("_0 = torch.linear(x, lstm.weight)"));
}

TEST_CASE("the depth of code is that of its deepest expression") {
  CHECK(depth_of_code("").depth == 0);
  CHECK(depth_of_code("x = f(g(h(y)))\nz = f(x)").depth == 4);
  CHECK(depth_of_code("[(a, b), (c, d), (e, f)]").depth == 2);
  CHECK(depth_of_code("f(-1, -1, -1, a.b, a.b)").depth == 2);
  CHECK(depth_of_code("a + b + c\n").depth == 2);
  CHECK(depth_of_code("a + \\\nb + c\n").depth == 2);
  CHECK(depth_of_code("f(a +\nb + c)\n").depth == 3);
  CHECK(depth_of_code("not not android and iffy\n").depth == 3);
  CHECK(depth_of_code("x[0][0][0]\n").depth == 3);
  CHECK(depth_of_code("def f():\n  if a:\n    if b:\n      c").depth == 6);
  CHECK(depth_of_code("if a:\n  b\nelif a:\n  b\nelif a:\n  b\ndef f():\n  b").depth == 4);
}

TEST_CASE("strings and comments have no depth, but type comments have") {
  CHECK(depth_of_code("x\"(((((\\\"((((\" 'a(((' \"\"\"((\n(\"(\"\"\"").depth == 0);
  CHECK(depth_of_code("x # ((((((").depth == 0);
  CHECK(depth_of_code("x # type: List[List[int]]").depth == 2);
}

TEST_CASE("the lexer goes through empty lines and comments by calling itself") {
  CHECK(depth_of_code("a\n\n  # b\n \n\nc").depth == 5);
  CHECK(depth_of_code("(\n\n\n)").depth == 3);
  CHECK(depth_of_code("a \\\n\\\n\\\n b").depth == 3);
  CHECK(depth_of_code("a\nb\nc\nd\ne\nf").depth == 1);
}

TEST_CASE("a string without an end hides nothing") {
  CHECK(depth_of_code("x\"((\n((").depth == 4);
  CHECK(depth_of_code("x\"\"\"((").depth == 2);
  CHECK(depth_of_code("x\"\\\n((\"(").depth == 1);
}

TEST_CASE("where code is deepest") {
  CHECK(depth_of_code("").line == 1);
  CHECK(depth_of_code("x = 1\nf(g(y))\nz = f(x)\n").line == 2);
  CHECK(depth_of_code("f(x)\nf(\n[(a)])").line == 3);
}

TEST_CASE("brackets that do not match are no trouble") {
  CHECK(depth_of_code(")))((").depth == 2);
  CHECK(depth_of_code("(((").depth == 3);
}
