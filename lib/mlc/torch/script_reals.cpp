#include "mlc/torch/script_reals.h"

#include <torch/csrc/jit/ir/named_value.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Graph;
using torch::jit::NamedValue;
using JitValue = torch::jit::Value*;

/// For ir::follow(): numbers of TorchScript, which computes with them as Python does.
struct RealMaker {
  Graph& graph;

  JitValue insert(const char* name, const std::vector<NamedValue>& arguments) const {
    return graph.insert(c10::Symbol::fromQualString(name), arguments);
  }
  JitValue number(double value) const { return graph.insertConstant(value); }
  JitValue operand(JitValue value) const { return insert("aten::Float", {value}); }
  JitValue combine(ir::RealOp op, JitValue a, JitValue b) const {
    const auto real = [&](const char* name) {  // floor() gives an integer
      return insert("aten::Float", {insert(name, {a})});
    };
    switch (op) {
      case ir::RealOp::add:
        return insert("aten::add", {a, b});
      case ir::RealOp::multiply:
        return insert("aten::mul", {a, b});
      case ir::RealOp::divide:
        return insert("aten::div", {a, b});
      case ir::RealOp::power:
        return insert("aten::pow", {a, b});
      case ir::RealOp::minimum:
        return insert("prim::min", {a, b});
      case ir::RealOp::maximum:
        return insert("prim::max", {a, b});
      case ir::RealOp::square_root:
        return insert("aten::sqrt", {a});
      case ir::RealOp::truncate:
        return real("aten::Int");
      case ir::RealOp::round_down:
        return real("aten::floor");
      case ir::RealOp::round_up:
        return real("aten::ceil");
      case ir::RealOp::round_even:
        return insert("aten::round", {a});
      case ir::RealOp::number:
      case ir::RealOp::operand:
        break;
    }
    return a;
  }
};

}  // namespace

JitValue rounded_number(Graph& graph, const ir::RealSteps& steps,
                        const std::vector<JitValue>& operands) {
  RealMaker maker{graph};
  return maker.insert("aten::Int", {ir::follow<JitValue, JitValue>(steps, operands, maker)});
}

}  // namespace mlc::torch_module
