// What an argument of a node is: a value of the graph, or something known.
#pragma once

#include "mlc/ir/symbols.h"
#include "mlc/tensor/dtype.h"

#include <string>
#include <variant>
#include <vector>

namespace mlc::ir {

class Value;

/// torch.strided, torch.channels_last, a device: PyTorch's word for it.
struct Layout {
  std::string name;
  friend bool operator==(const Layout&, const Layout&) = default;
};
struct MemoryFormat {
  std::string name;
  friend bool operator==(const MemoryFormat&, const MemoryFormat&) = default;
};
struct Device {
  std::string name;
  friend bool operator==(const Device&, const Device&) = default;
};

/// None, or a value of the graph; null stands for None within lists.
using None = std::monostate;
using Values = std::vector<Value*>;

/// Integers are expressions, so that sizes stay sizes. A list without items is a list of integers.
using Attribute = std::variant<None, Value*, bool, Expr, double, std::string, DType, Device, Layout,
                               MemoryFormat, std::vector<bool>, std::vector<Expr>,
                               std::vector<double>, std::vector<std::string>, Values>;

}  // namespace mlc::ir
