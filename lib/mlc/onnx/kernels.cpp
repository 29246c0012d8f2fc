#include "mlc/onnx/kernels.h"

#include <algorithm>
#include <array>

namespace mlc::onnx {
namespace {

using Mask = uint32_t;
constexpr Mask bit(DType dtype) {
  return Mask{1} << static_cast<unsigned>(dtype);
}

// ONNX Runtime casts float16 by itself where it has no kernel for it.
constexpr Mask kHalf = bit(DType::f16);
constexpr Mask kF32 = bit(DType::f32) | kHalf;
constexpr Mask kFloats = kF32 | bit(DType::f64);
constexpr Mask kWide = bit(DType::i32) | bit(DType::i64);
constexpr Mask kBytes = bit(DType::i8) | bit(DType::u8);
constexpr Mask kUnsigned = bit(DType::u32) | bit(DType::u64);
constexpr Mask kBool = bit(DType::boolean);

struct Row {
  std::string_view op;
  Mask dtypes;
};

constexpr Row kRows[] = {
    {"Acos", kF32},
    {"Acosh", kF32},
    {"Add", kFloats | kWide},
    {"And", kBool},
    {"ArgMax", kFloats | bit(DType::i32) | kBytes},
    {"ArgMin", kFloats | bit(DType::i32) | kBytes},
    {"Asin", kF32},
    {"Asinh", kF32},
    {"Atan", kF32},
    {"Atanh", kF32},
    {"AveragePool", kF32},
    {"Ceil", kFloats},
    {"Clip", kFloats | kWide | kBytes | kUnsigned},
    {"Conv", kF32},
    {"ConvTranspose", kF32},
    {"Cos", kFloats},
    {"Cosh", kF32},
    {"CumSum", kFloats | kWide},
    {"Div", kFloats | kWide},
    {"Einsum", kFloats | kWide},
    {"Elu", kF32},
    {"Equal", kFloats | kWide | kBool},
    {"Erf", kF32},
    {"Exp", kFloats},
    {"Floor", kFloats},
    {"GRU", kF32},
    {"Gemm", kFloats},
    {"GlobalAveragePool", kF32},
    {"Greater", kFloats | kWide},
    {"GreaterOrEqual", kFloats | kWide},
    {"GridSample", kF32},
    {"HardSigmoid", kF32},
    {"HardSwish", kF32},
    {"InstanceNormalization", kF32},
    {"IsInf", kFloats},
    {"IsNaN", kFloats},
    {"LSTM", kF32},
    {"LayerNormalization", kFloats},
    {"LeakyRelu", kF32},
    {"Less", kFloats | kWide},
    {"LessOrEqual", kFloats | kWide},
    {"Log", kFloats},
    {"LogSoftmax", kFloats},
    {"Max", kFloats | kWide | kUnsigned},
    {"MatMul", kFloats | kWide | kUnsigned},
    {"MaxPool", kFloats | kBytes},
    {"Min", kFloats | kWide | kUnsigned},
    {"Mod", kFloats | kWide | kBytes | kUnsigned | bit(DType::i16) | bit(DType::u16)},
    {"Mul", kFloats | kWide},
    {"Neg", kFloats | kWide | bit(DType::i8)},
    {"Not", kBool},
    {"Or", kBool},
    {"PRelu", kFloats | kWide},
    {"Pow", kFloats | kWide},
    {"RNN", kF32},
    {"Reciprocal", kFloats},
    {"ReduceL1", kF32 | bit(DType::i32)},
    {"ReduceL2", kF32 | bit(DType::i32)},
    {"ReduceLogSumExp", kFloats},
    {"ReduceMax", kFloats | kWide | kBytes},
    {"ReduceMean", kFloats | bit(DType::i32)},
    {"ReduceMin", kFloats | kWide | kBytes},
    {"ReduceProd", kF32 | kWide},
    {"ReduceSum", kFloats | kWide},
    {"ReduceSumSquare", kFloats | bit(DType::i32)},
    {"Relu", kFloats | bit(DType::i32) | bit(DType::i8)},
    {"Resize", kF32 | bit(DType::i32) | kBytes},
    {"Round", kFloats},
    {"Selu", kF32},
    {"Sigmoid", kFloats},
    {"Sin", kFloats},
    {"Sinh", kF32},
    {"Softmax", kFloats},
    {"Softplus", kF32},
    {"Softsign", kF32},
    {"Sqrt", kFloats},
    {"Sub", kFloats | kWide},
    {"Tan", kF32},
    {"Tanh", kFloats},
    {"TopK", kFloats | kWide},
    {"Trilu", kFloats | bit(DType::i64) | kBool},
    {"Where", kFloats | kWide | bit(DType::u8)},
    {"Xor", kBool},
};

// What a dtype without a kernel is computed in: the first of these that holds all its values and
// has one.
constexpr std::array kWider = {DType::i32, DType::i64, DType::f32, DType::f64};

}  // namespace

DType kernel_dtype(std::string_view op, DType dtype) {
  const auto row = std::ranges::lower_bound(kRows, op, {}, &Row::op);
  const bool known = row != std::end(kRows) && row->op == op;
  if (!known) return dtype;
  if ((row->dtypes & bit(dtype)) != 0) return dtype;
  const DTypeClass kind = info(dtype).kind;
  if (kind == DTypeClass::floating) {
    return (row->dtypes & bit(DType::f32)) != 0 ? DType::f32 : DType::f64;
  }
  if (kind != DTypeClass::integer && kind != DTypeClass::boolean) return dtype;
  for (const DType wider : kWider) {
    if ((row->dtypes & bit(wider)) == 0) continue;
    const bool whole = info(wider).kind == DTypeClass::integer;
    if (whole && info(wider).bytes <= info(dtype).bytes && dtype != DType::boolean) continue;
    // float32 holds 24 bits, so that int32 and wider ones are better off as float64.
    if (wider == DType::f32 && info(dtype).bytes >= 4 && (row->dtypes & bit(DType::f64)) != 0) {
      continue;
    }
    return wider;
  }
  return dtype;
}

}  // namespace mlc::onnx
