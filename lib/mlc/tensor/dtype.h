// The element types of PyTorch and their names in every format mlc touches: one table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mlc {

enum class DType : uint8_t {
  boolean,
  u8,
  i8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  f16,
  bf16,
  f32,
  f64,
  f8_e4m3fn,
  f8_e5m2,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f8_e8m0fnu,
  f4_e2m1fn_x2,
  c32,
  c64,
  c128,
  qi8,
  qu8,
  qi32,
  qu4x2,
  qu2x4,
  bits8,
  bits16,
  bits1x8,
  bits2x4,
  bits4x2,
  count_,  // number of rows, not a type
};

enum class DTypeClass : uint8_t { boolean, integer, floating, complex, quantized, opaque };

/// One row of the table. Names that a format lacks are empty; codes that it lacks are -1.
struct DTypeInfo {
  DType dtype;
  DTypeClass kind;
  uint8_t bytes;             // of one stored element (packed types: of one pack)
  uint8_t per_element;       // logical elements in one stored element: 1, or 2/4/8 for packed ones
  std::string_view torch;    // "float32", the part behind "torch."
  std::string_view brief;    // "f32", as in tables and the input grammar
  std::string_view storage;  // "FloatStorage"; empty: only through _rebuild_tensor_v3
  std::string_view safetensors;  // "F32"
  std::string_view numpy;        // "<f4"; bfloat16 has no descr of its own there
  int16_t pt2;                   // torch._export.serde.schema ScalarType
  int16_t onnx;                  // onnx.TensorProto.DataType
};

/// All rows, indexed by DType.
std::span<const DTypeInfo> dtype_table();
const DTypeInfo& info(DType dtype);

inline uint64_t element_bytes(DType dtype) {
  return info(dtype).bytes;
}
/// Of the unit that byte order concerns: the half of a complex number, else the element.
uint64_t component_bytes(DType dtype);

/// By any of the names: "float32", "torch.float32", "f32", "fp32", "F32", "half", "float", "long",
/// ...
std::optional<DType> dtype_from_name(std::string_view name);
std::optional<DType> dtype_from_torch(std::string_view name);        // "float32"
std::optional<DType> dtype_from_storage(std::string_view name);      // "FloatStorage"
std::optional<DType> dtype_from_safetensors(std::string_view name);  // "F32"
std::optional<DType> dtype_from_pt2(int64_t code);

}  // namespace mlc
