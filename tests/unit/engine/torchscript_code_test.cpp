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

TEST_CASE("states of constant sizes are seen, where there is an LSTM") {
  CHECK(has_lstm_of_fixed_batch("h = torch.zeros([1, 2, 8], dtype=6)\n_ = torch.lstm(x, [h, h])"));
  CHECK(!has_lstm_of_fixed_batch(
      "h = torch.zeros([1, int(n), 8], dtype=6)\n_ = torch.lstm(x, [h, h])"));
  CHECK(!has_lstm_of_fixed_batch("h = torch.zeros([1, 2, 8], dtype=6)"));
  CHECK(!has_lstm_of_fixed_batch("_ = torch.lstm(x, torch.zeros(["));
}
