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
