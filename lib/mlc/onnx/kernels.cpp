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
constexpr Mask kU64 = bit(DType::u64);
constexpr Mask kSmall = kBytes | bit(DType::i16) | bit(DType::u16);
constexpr Mask kNumbers = kFloats | kWide | kSmall | kUnsigned;

// Operators whose kernels depend on an attribute have its value in their names.
struct Row {
  std::string_view op;
  Mask dtypes;
};

constexpr Row kRows[] = {
    {"Abs", kNumbers},
    {"Acos", kF32},
    {"Acosh", kF32},
    {"Add", kFloats | kWide | kU64},
    {"And", kBool},
    {"ArgMax", kFloats | kWide | kBytes},
    {"ArgMin", kFloats | kWide | kBytes},
    {"Asin", kF32},
    {"Asinh", kF32},
    {"Atan", kF32},
    {"Atanh", kF32},
    {"AveragePool", kF32},
    {"BatchNormalization", kFloats},
    {"BitwiseAnd", kWide | kSmall | kUnsigned},
    {"BitwiseNot", kWide | kSmall | kUnsigned},
    {"BitwiseOr", kWide | kSmall | kUnsigned},
    {"BitwiseXor", kWide | kSmall | kUnsigned},
    {"Ceil", kFloats},
    {"Clip", kFloats | kWide | kBytes | kUnsigned},
    {"Compress", kNumbers | kBool},
    {"Conv", kF32},
    {"ConvTranspose", kF32},
    {"Cos", kFloats},
    {"Cosh", kF32},
    {"CumSum", kFloats | kWide},
    {"DepthToSpace", kFloats},
    {"Div", kFloats | kWide | kU64},
    {"Einsum", kFloats | kWide},
    {"Elu", kF32},
    {"Equal", kFloats | kWide | kBool | kU64},
    {"Erf", kF32},
    {"Exp", kFloats},
    {"Expand", kNumbers | kBool},
    {"Floor", kFloats},
    {"GRU", kF32},
    {"Gemm", kFloats},
    {"GlobalAveragePool", kF32},
    {"Greater", kFloats | kWide | kU64},
    {"GreaterOrEqual", kFloats | kWide | kU64},
    {"GridSample", kF32},
    {"HardSigmoid", kF32},
    {"HardSwish", kF32},
    {"InstanceNormalization", kF32},
    {"IsInf", bit(DType::f32) | bit(DType::f64)},
    {"IsNaN", kFloats},
    {"LRN", kF32},
    {"LSTM", kF32},
    {"LayerNormalization", kFloats},
    {"LeakyRelu", kFloats},
    {"Less", kFloats | kWide | kU64},
    {"LessOrEqual", kFloats | kWide | kU64},
    {"Log", kFloats},
    {"LogSoftmax", kFloats},
    {"MatMul", kFloats | kWide | kUnsigned},
    {"Max", kFloats | kWide | kUnsigned},
    {"MaxPool", kFloats | kBytes},
    {"Min", kFloats | kWide | kUnsigned},
    {"Mod", kFloats | kWide | kBytes | kUnsigned | bit(DType::i16) | bit(DType::u16)},
    {"Mul", kFloats | kWide | kU64},
    {"Neg", kFloats | kWide | bit(DType::i8)},
    {"NonZero", kF32 | kWide | bit(DType::u8) | kBool},
    {"Not", kBool},
    {"Or", kBool},
    {"PRelu", kFloats | kWide},
    {"Pad", kFloats | kWide | kBytes | kUnsigned | kBool},
    {"Pow", kFloats | kWide},
    {"RNN", kF32},
    {"Range", bit(DType::f32) | bit(DType::f64) | kWide},
    {"Reciprocal", kFloats},
    {"ReduceL1", kFloats | kWide},
    {"ReduceL2", kFloats | kWide},
    {"ReduceLogSumExp", kFloats},
    {"ReduceMax", kFloats | kWide | kBytes},
    {"ReduceMean", kFloats | bit(DType::i32)},
    {"ReduceMin", kFloats | kWide | kBytes},
    {"ReduceProd", kFloats | kWide},
    {"ReduceSum", kFloats | kWide},
    {"ReduceSumSquare", kFloats | bit(DType::i32)},
    {"Relu", kFloats | bit(DType::i32) | bit(DType::i8)},
    {"Resize", kF32 | bit(DType::i32) | kBytes},
    {"Round", kFloats},
    {"ScatterElementsAdd", kNumbers & ~kHalf},
    {"ScatterElementsMax", kNumbers},
    {"ScatterElementsMin", kNumbers},
    {"ScatterElementsMul", kNumbers & ~kHalf},
    {"ScatterNDAdd", kNumbers & ~kHalf},
    {"Selu", kF32},
    {"Sigmoid", kFloats},
    {"Sign", kNumbers},
    {"Sin", kFloats},
    {"Sinh", kF32},
    {"Softmax", kFloats},
    {"Softplus", kF32},
    {"Softsign", kF32},
    {"Sqrt", kFloats},
    {"Sub", kFloats | kWide | kU64},
    {"Tan", kF32},
    {"Tanh", kFloats},
    {"Tile", kNumbers | kBool},
    {"TopK", kFloats | kWide},
    {"Trilu", kFloats | bit(DType::i64) | kBool},
    {"Where", kFloats | kWide | bit(DType::u8)},
    {"Xor", kBool},
};

static_assert(std::ranges::is_sorted(kRows, {}, &Row::op));

// What a dtype without a kernel is computed in: the first of these that holds all its values and
// has one.
constexpr std::array kWider = {DType::i32, DType::i64, DType::f32, DType::f64};

struct OpsetRow {
  std::string_view op;
  int opset;
};

constexpr OpsetRow kOpsets[] = {
    {"BitwiseAnd", 18},
    {"BitwiseNot", 18},
    {"BitwiseOr", 18},
    {"BitwiseXor", 18},
    {"Col2Im", 18},
    {"DFT", 17},
    {"DeformConv", 19},
    {"GridSample", 16},
    {"HardSwish", 14},
    {"HannWindow", 17},
    {"LayerNormalization", 17},
    {"Mish", 18},
    {"RoiAlign", 16},
    {"STFT", 17},
    {"Trilu", 14},
};

}  // namespace

int least_opset(std::string_view op, std::string_view reduction) {
  if (reduction == "add" || reduction == "mul") return 16;
  if (reduction == "max" || reduction == "min") return 18;
  const auto* const row = std::ranges::find(kOpsets, op, &OpsetRow::op);
  return row == std::end(kOpsets) ? 0 : row->opset;
}

int least_opset(DType dtype) {
  constexpr std::array kFloat8 = {DType::f8_e4m3fn, DType::f8_e5m2, DType::f8_e4m3fnuz,
                                  DType::f8_e5m2fnuz};
  return std::ranges::find(kFloat8, dtype) != kFloat8.end() ? 19 : 0;
}

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
