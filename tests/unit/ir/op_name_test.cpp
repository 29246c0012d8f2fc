#include "mlc/ir/op_name.h"

#include "catch.h"

using namespace mlc::ir;

TEST_CASE("every spelling of an operator") {
  CHECK(op_name("aten::add.Tensor") == OpName{"aten", "add", "Tensor"});
  CHECK(op_name("aten::relu") == OpName{"aten", "relu", ""});
  CHECK(op_name("torch.ops.aten.add.Tensor") == OpName{"aten", "add", "Tensor"});
  CHECK(op_name("torch.ops.aten.relu.default") == OpName{"aten", "relu", ""});
  CHECK(op_name("torch.ops.higher_order.cond") == OpName{"higher_order", "cond", ""});
  CHECK(op_name("_operator.mul") == OpName{"_operator", "mul", ""});
  CHECK(op_name("aten::__and__.Tensor") == OpName{"aten", "__and__", "Tensor"});
}

TEST_CASE("what is no operator") {
  for (const char* text :
       {"", "relu", "aten::", "::relu", "aten::relu.", "aten::a.b.c", "aten.a.b.c", "torch.ops.",
        "1aten::relu", "aten::re lu", "aten:::relu"}) {
    INFO(text);
    CHECK(!op_name(text));
  }
}

TEST_CASE("text of an operator reads back") {
  for (const char* text : {"aten::add.Tensor", "prim::If"}) CHECK(to_text(*op_name(text)) == text);
}
