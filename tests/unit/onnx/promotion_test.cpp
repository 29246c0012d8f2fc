#include "mlc/onnx/promotion.h"

#include "catch.h"
#include "mlc/onnx/kernels.h"

#include <vector>

using namespace mlc;
using namespace mlc::onnx;

TEST_CASE("dtypes are promoted as torch.result_type does") {
  struct Case {
    std::vector<Operand> operands;
    DType result;
  };
  const Operand f32{DType::f32, Rank::tensor};
  const Operand i64{DType::i64, Rank::tensor};
  const Operand i32{DType::i32, Rank::tensor};
  const Operand f16{DType::f16, Rank::tensor};
  const Operand u8{DType::u8, Rank::tensor};
  const Operand i8{DType::i8, Rank::tensor};
  const Operand flag{DType::boolean, Rank::tensor};
  const Operand f64_0{DType::f64, Rank::zero_dim};
  const Operand i64_0{DType::i64, Rank::zero_dim};
  const Operand number{DType::f32, Rank::scalar};
  const Operand integer{DType::i64, Rank::scalar};
  const std::vector<Case> cases = {
      {{f32, i64}, DType::f32},      {{i32, i64}, DType::i64},    {{u8, i8}, DType::i16},
      {{flag, i32}, DType::i32},     {{f16, f64_0}, DType::f16},  {{i32, f64_0}, DType::f64},
      {{i32, i64_0}, DType::i32},    {{i32, number}, DType::f32}, {{f16, number}, DType::f16},
      {{flag, integer}, DType::i64}, {{u8, integer}, DType::u8},  {{flag, number}, DType::f32},
      {{f16, f32}, DType::f32},
  };
  for (const Case& one : cases) CHECK(promote(one.operands) == one.result);
}

TEST_CASE("kernels are found for every dtype") {
  CHECK(kernel_dtype("Add", DType::f32) == DType::f32);
  CHECK(kernel_dtype("Add", DType::boolean) == DType::i32);
  CHECK(kernel_dtype("Add", DType::u8) != DType::u8);
  CHECK(kernel_dtype("Sqrt", DType::bf16) == DType::f32);
  CHECK(kernel_dtype("NoSuchOperator", DType::u8) == DType::u8);
}
