#include "mlc/tensor/dtype.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace mlc {
namespace {

using enum DTypeClass;

// torch: names of torch 2.13; storage: torch.storage._dtype_to_storage_type_map; safetensors: Dtype
// of its tensor.rs; pt2: torch._export.serde.schema.ScalarType; onnx: TensorProto.DataType of
// ONNX 1.19. ONNX's FLOAT4E2M1 is a row too, but counts halves where torch counts packs.
constexpr std::array kTable = std::to_array<DTypeInfo>({
    {DType::boolean, boolean, 1, 1, "bool", "bool", "BoolStorage", "BOOL", "|b1", 12, 9},
    {DType::u8, integer, 1, 1, "uint8", "u8", "ByteStorage", "U8", "|u1", 1, 2},
    {DType::i8, integer, 1, 1, "int8", "i8", "CharStorage", "I8", "|i1", 2, 3},
    {DType::i16, integer, 2, 1, "int16", "i16", "ShortStorage", "I16", "<i2", 3, 5},
    {DType::u16, integer, 2, 1, "uint16", "u16", "", "U16", "<u2", 28, 4},
    {DType::i32, integer, 4, 1, "int32", "i32", "IntStorage", "I32", "<i4", 4, 6},
    {DType::u32, integer, 4, 1, "uint32", "u32", "", "U32", "<u4", 34, 12},
    {DType::i64, integer, 8, 1, "int64", "i64", "LongStorage", "I64", "<i8", 5, 7},
    {DType::u64, integer, 8, 1, "uint64", "u64", "", "U64", "<u8", 35, 13},
    {DType::f16, floating, 2, 1, "float16", "f16", "HalfStorage", "F16", "<f2", 6, 10},
    {DType::bf16, floating, 2, 1, "bfloat16", "bf16", "BFloat16Storage", "BF16", "", 13, 16},
    {DType::f32, floating, 4, 1, "float32", "f32", "FloatStorage", "F32", "<f4", 7, 1},
    {DType::f64, floating, 8, 1, "float64", "f64", "DoubleStorage", "F64", "<f8", 8, 11},
    {DType::f8_e4m3fn, floating, 1, 1, "float8_e4m3fn", "f8_e4m3fn", "", "F8_E4M3", "", 29, 17},
    {DType::f8_e5m2, floating, 1, 1, "float8_e5m2", "f8_e5m2", "", "F8_E5M2", "", 30, 19},
    {DType::f8_e4m3fnuz, floating, 1, 1, "float8_e4m3fnuz", "f8_e4m3fnuz", "", "F8_E4M3FNUZ", "",
     31, 18},
    {DType::f8_e5m2fnuz, floating, 1, 1, "float8_e5m2fnuz", "f8_e5m2fnuz", "", "F8_E5M2FNUZ", "",
     32, 20},
    {DType::f8_e8m0fnu, floating, 1, 1, "float8_e8m0fnu", "f8_e8m0fnu", "", "F8_E8M0", "", 33, 24},
    {DType::f4_e2m1fn_x2, floating, 1, 2, "float4_e2m1fn_x2", "f4_e2m1fn_x2", "", "F4", "", -1, 23},
    {DType::c32, complex, 4, 1, "complex32", "c32", "", "", "", 9, -1},
    {DType::c64, complex, 8, 1, "complex64", "c64", "ComplexFloatStorage", "C64", "<c8", 10, 14},
    {DType::c128, complex, 16, 1, "complex128", "c128", "ComplexDoubleStorage", "", "<c16", 11, 15},
    {DType::qi8, quantized, 1, 1, "qint8", "qi8", "QInt8Storage", "", "", -1, -1},
    {DType::qu8, quantized, 1, 1, "quint8", "qu8", "QUInt8Storage", "", "", -1, -1},
    {DType::qi32, quantized, 4, 1, "qint32", "qi32", "QInt32Storage", "", "", -1, -1},
    {DType::qu4x2, quantized, 1, 2, "quint4x2", "qu4x2", "QUInt4x2Storage", "", "", -1, -1},
    {DType::qu2x4, quantized, 1, 4, "quint2x4", "qu2x4", "QUInt2x4Storage", "", "", -1, -1},
    {DType::bits8, opaque, 1, 1, "bits8", "bits8", "", "", "", -1, -1},
    {DType::bits16, opaque, 2, 1, "bits16", "bits16", "", "", "", -1, -1},
    {DType::bits1x8, opaque, 1, 8, "bits1x8", "bits1x8", "", "", "", -1, -1},
    {DType::bits2x4, opaque, 1, 4, "bits2x4", "bits2x4", "", "", "", -1, -1},
    {DType::bits4x2, opaque, 1, 2, "bits4x2", "bits4x2", "", "", "", -1, -1},
});
static_assert(kTable.size() == static_cast<size_t>(DType::count_));

// What people also write: Python's shorthands and the spellings of training scripts.
constexpr std::array kAliases = std::to_array<std::pair<std::string_view, DType>>({
    {"byte", DType::u8},
    {"char", DType::i8},
    {"short", DType::i16},
    {"int", DType::i32},
    {"long", DType::i64},
    {"half", DType::f16},
    {"float", DType::f32},
    {"double", DType::f64},
    {"fp16", DType::f16},
    {"fp32", DType::f32},
    {"fp64", DType::f64},

    {"chalf", DType::c32},
    {"cfloat", DType::c64},
    {"cdouble", DType::c128},
});

std::optional<DType> find_by(std::string_view DTypeInfo::*column, std::string_view name) {
  if (name.empty()) return std::nullopt;
  const auto row = std::ranges::find(kTable, name, column);
  if (row == kTable.end()) return std::nullopt;
  return row->dtype;
}

}  // namespace

std::span<const DTypeInfo> dtype_table() {
  return kTable;
}

const DTypeInfo& info(DType dtype) {
  assert(dtype < DType::count_);
  return kTable[static_cast<size_t>(dtype)];
}

uint64_t component_bytes(DType dtype) {
  const DTypeInfo& row = info(dtype);
  return row.kind == DTypeClass::complex ? row.bytes / 2U : row.bytes;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  const bool qualified = name.starts_with("torch.");
  if (qualified) name.remove_prefix(6);
  if (const auto found = dtype_from_torch(name)) return found;
  if (!qualified) {
    if (const auto found = find_by(&DTypeInfo::brief, name)) return found;
    if (const auto found = dtype_from_safetensors(name)) return found;
  }
  const auto alias = std::ranges::find(kAliases, name, &std::pair<std::string_view, DType>::first);
  if (alias == kAliases.end()) return std::nullopt;
  return alias->second;
}

std::optional<DType> dtype_from_torch(std::string_view name) {
  return find_by(&DTypeInfo::torch, name);
}

std::optional<DType> dtype_from_storage(std::string_view name) {
  return find_by(&DTypeInfo::storage, name);
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  return find_by(&DTypeInfo::safetensors, name);
}

std::optional<DType> dtype_from_pt2(int64_t code) {
  if (code < 0) return std::nullopt;
  const auto row = std::ranges::find(kTable, code, &DTypeInfo::pt2);
  if (row == kTable.end()) return std::nullopt;
  return row->dtype;
}

}  // namespace mlc
