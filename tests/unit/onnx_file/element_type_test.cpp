#include "mlc/onnx_file/element_type.h"

#include "catch.h"

#include <limits>

using namespace mlc;

TEST_CASE("element types of ONNX are those of PyTorch where both have them") {
  CHECK(dtype_from_onnx(1) == DType::f32);
  CHECK(dtype_from_onnx(7) == DType::i64);
  CHECK(dtype_from_onnx(9) == DType::boolean);
  CHECK(dtype_from_onnx(10) == DType::f16);
  CHECK(dtype_from_onnx(16) == DType::bf16);
  for (const int64_t code : {-1, 0, 8, 21, 22, 23, 99}) CHECK(!dtype_from_onnx(code));
  CHECK(onnx_type_name(8) == "string");
  CHECK(onnx_type_name(21) == "u4");
  CHECK(onnx_type_name(99) == "type 99");
}

TEST_CASE("packed types take part of a byte") {
  CHECK(onnx_bytes(1, 3) == 12U);
  CHECK(onnx_bytes(22, 3) == 2U);
  CHECK(onnx_bytes(25, 5) == 2U);
  CHECK(!onnx_bytes(8, 3));
  CHECK(!onnx_bytes(99, 3));
  CHECK(!onnx_bytes(11, std::numeric_limits<uint64_t>::max() / 4));
}
