#include "mlc/passes/cast_floats.h"

#include "catch.h"

using namespace mlc;

TEST_CASE("what is told or taken as float32 is cast, integers and float64 stay") {
  auto graph = ir::parse(R"(graph "net" {
    input %x: f32[3]
    input %ids: i64[3]
    %made: f32[3] = aten::full(size=[3], fill_value=-3.4028234663852886e+38, pin_memory=false)
    %wide: f64[3] = aten::_to_copy(self=%x, dtype=dtype(f64))
    %same: f32[3] = aten::_to_copy(self=%wide, dtype=dtype(f32))
    %sum: f32[3] = aten::add.Tensor(self=%made, other=%same)
    return out=%sum
  })",
                         "test");
  REQUIRE(graph.ok());
  passes::cast_floats(*graph, DType::f16);
  const std::string text = ir::to_text(*graph);
  CHECK(text.find("%x: f16[3]") != text.npos);
  CHECK(text.find("%ids: i64[3]") != text.npos);
  CHECK(text.find("fill_value=-65504.0, dtype=dtype(f16), pin_memory=false)") != text.npos);
  CHECK(text.find("%wide: f64[3] = aten::_to_copy(self=%x, dtype=dtype(f64))") != text.npos);
  CHECK(text.find("%same: f16[3] = aten::_to_copy(self=%wide, dtype=dtype(f16))") != text.npos);
  CHECK(text.find("%sum: f16[3]") != text.npos);
  CHECK(ir::verify(*graph).ok());
}
