// What PyTorch's operators on quantised tensors compute, said with floats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <torch/csrc/jit/api/compilation_unit.h>

namespace mlc::torch_module {

/// Where the operator's weights come from.
enum class QuantizedKind : uint8_t {
  values,     // it has none, or takes tensors
  linear,     // LinearPackedParamsBase, argument 1
  conv,       // Conv2dPackedParamsBase or Conv3dPackedParamsBase, argument 1
  embedding,  // EmbeddingPackedParamsBase, argument 0
};

struct QuantizedRow {
  std::string_view name;      // "quantized::conv2d"
  std::string_view function;  // that computes it with floats: quantized_function()
  QuantizedKind kind = QuantizedKind::values;
  /// Which arguments the function takes, besides weights; those below 0 end the list.
  std::array<int8_t, 6> arguments = {-1, -1, -1, -1, -1, -1};
  bool with_relu = false;   // the function "relu" comes last
  bool is_dynamic = false;  // its input are floats, which it quantises as they are
};

/// Null for operators that have no row: those without a form in floats, and all others.
const QuantizedRow* find_quantized(std::string_view name);

/// The function NAME in TorchScript, which calls nothing but operators of ATen. Requires: a row or
/// this header names it.
torch::jit::Graph& quantized_function(const std::string& name);

}  // namespace mlc::torch_module
