#include "mlc/ir/graph.h"

#include "catch.h"

using namespace mlc::ir;
using mlc::DType;

namespace {

TensorType f32() {
  return {DType::f32, std::nullopt};
}

struct Chain {
  Graph graph{"chain"};
  Value* x = graph.add_input("x", f32());
  Node* a = graph.append(graph.body(), {"aten", "relu", ""}, {{"self", x}}, {f32()});
  Node* b = graph.append(graph.body(), {"aten", "add", "Tensor"},
                         {{"self", a->output(0)}, {"other", a->output(0)}}, {f32()});
  Chain() { graph.set_results(graph.body(), {{"y", b->output(0)}}); }
};

}  // namespace

TEST_CASE("uses follow every change") {
  Chain of;
  CHECK(verify(of.graph).ok());
  CHECK(of.a->output(0)->uses().size() == 2);
  of.graph.replace_all_uses(of.a->output(0), of.x);
  CHECK(of.a->output(0)->uses().empty());
  CHECK(of.x->uses().size() == 3);
  CHECK(verify(of.graph).ok());
  of.graph.erase(of.a);
  CHECK(of.graph.body().nodes().size() == 1);
  CHECK(of.x->uses().size() == 2);
  of.graph.set_argument(of.b, 1, of.graph.symbols().constant(2));
  CHECK(of.x->uses().size() == 1);
  CHECK(verify(of.graph).ok());
  CHECK(to_text(of.graph, *of.b) == "%1: f32 = aten::add.Tensor(self=%x, other=2)\n");
}

TEST_CASE("values have names of their own") {
  Chain of;
  CHECK(of.graph.add_weight(ValueKind::parameter, "x", f32())->name() != "x");
  CHECK(of.graph.rename(of.a->output(0), "hidden"));
  CHECK(of.graph.find("hidden") == of.a->output(0));
  CHECK(of.graph.find("0") == nullptr);
  CHECK(!of.graph.rename(of.b->output(0), "hidden"));
  CHECK(!of.graph.rename(of.b->output(0), ""));
  CHECK(of.graph.rename(of.b->output(0), of.b->output(0)->name()));
  CHECK(verify(of.graph).ok());
}

TEST_CASE("items of lists are uses") {
  Chain of;
  Node* cat = of.graph.insert_before(of.b, {"aten", "cat", ""},
                                     {{"tensors", Values{of.x, nullptr, of.x}}}, {f32()});
  CHECK(of.x->uses().size() == 3);
  of.graph.replace_all_uses(of.x, of.a->output(0));
  CHECK(std::get<Values>(*cat->find("tensors"))[2] == of.a->output(0));
  CHECK(std::get<Values>(*cat->find("tensors"))[1] == nullptr);
  CHECK(cat->find("dim") == nullptr);
}

TEST_CASE("unused nodes go, with what only they used") {
  Chain of;
  Node* c = of.graph.append(of.graph.body(), {"aten", "neg", ""}, {{"self", of.x}}, {f32()});
  of.graph.append(of.graph.body(), {"aten", "exp", ""}, {{"self", c->output(0)}}, {f32()});
  of.graph.append(of.graph.body(), {"aten", "print", ""}, {{"self", of.x}}, {});
  of.graph.erase_unused([](const Node& node) { return node.op().name == "print"; });
  CHECK(of.graph.body().nodes().size() == 3);
  CHECK(verify(of.graph).ok());
  of.graph.erase_unused([](const Node&) { return false; });
  CHECK(of.graph.body().nodes().size() == 2);
}

TEST_CASE("a node takes its blocks with it") {
  Chain of;
  Value* c = of.graph.add_input("c", TensorType{DType::boolean, {{}}});
  Node* choice = of.graph.insert_before(of.b, {"prim", "If", ""}, {{"condition", c}}, {f32()});
  for (int i = 0; i < 2; ++i) {
    Block& block = of.graph.add_block(choice);
    Node* inner = of.graph.append(block, {"aten", "neg", ""}, {{"self", of.a->output(0)}}, {f32()});
    of.graph.set_results(block, {{"0", inner->output(0)}});
  }
  CHECK(verify(of.graph).ok());
  CHECK(of.a->output(0)->uses().size() == 4);
  of.graph.erase(choice);
  CHECK(of.a->output(0)->uses().size() == 2);
  CHECK(c->uses().empty());
  CHECK(verify(of.graph).ok());
}

TEST_CASE("verify finds what is wrong") {
  const auto complaint = [](const Graph& graph) { return verify(graph).error().text(); };
  SECTION("a value read before it is there") {
    Chain of;
    of.graph.set_argument(of.a, 0, of.b->output(0));
    CHECK(complaint(of.graph) ==
          "graph \"chain\": aten::relu: %1 is read before or beyond where it is defined");
  }
  SECTION("a value of a block read outside of it") {
    Chain of;
    Node* node = of.graph.insert_before(of.b, {"x", "y", ""}, {}, {});
    Node* inner =
        of.graph.append(of.graph.add_block(node), {"aten", "neg", ""}, {{"self", of.x}}, {f32()});
    of.graph.set_argument(of.b, 0, inner->output(0));
    CHECK(complaint(of.graph).find("beyond where it is defined") != std::string::npos);
  }
  SECTION("an If without its blocks") {
    Chain of;
    of.graph.insert_before(of.b, {"prim", "If", ""}, {}, {f32()});
    CHECK(complaint(of.graph) == "graph \"chain\": prim::If: it has 0 blocks, not 2");
  }
  SECTION("two arguments of one name") {
    Chain of;
    of.graph.set_arguments(of.a, {{"self", of.x}, {"self", of.x}});
    CHECK(complaint(of.graph) == "graph \"chain\": aten::relu: it has two arguments \"self\"");
  }
  SECTION("a negative size") {
    Chain of;
    of.graph.set_type(of.x, TensorType{DType::f32, {{of.graph.symbols().constant(-1)}}});
    CHECK(complaint(of.graph) == "%x has the size -1, which is negative");
  }
}
