// What the comparison with PyTorch (tests/ops) found out of each operator.
#pragma once

#include <cstdint>
#include <string_view>

namespace mlc::onnx {

struct Tested {
  std::string_view op;  // "aten::add"
  /// Of the calls that PyTorch's authors test it with, or an operator made of it: those that give
  /// the same under ONNX Runtime, and all.
  uint32_t passed = 0;
  uint32_t calls = 0;
  /// The least opset at which one of its calls can be written, and all of them.
  int opset = 0;
  int opset_of_all = 0;
};

/// Null for an operator that no test calls. The table is written by tests/ops/run_ops.py --update.
const Tested* find_tested(std::string_view op);

}  // namespace mlc::onnx
