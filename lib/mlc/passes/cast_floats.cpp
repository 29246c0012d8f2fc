#include "mlc/passes/cast_floats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace mlc::passes {
namespace {

using ir::Argument;
using ir::Attribute;
using ir::Graph;
using ir::Node;
using ir::Value;

// What makes tensors of PyTorch's default type where it is told none, and takes `dtype`.
constexpr std::array<std::string_view, 12> kMakers = {
    "arange", "empty", "empty_strided", "eye",   "full",          "linspace",
    "ones",   "rand",  "randn",         "zeros", "scalar_tensor", "empty_permuted"};

bool is_cast(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

double largest_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 65504;
    case DType::bf16:
      return 0x1.fep127;
    default:
      return 0x1.fffffep127;
  }
}

class Caster {
 public:
  Caster(Graph& graph, DType to) : graph_(graph), to_(to), largest_(largest_of(to)) {}

  void run() {
    for (Value* input : graph_.inputs()) cast(input);
    for (Value* weight : graph_.weights()) cast(weight);
    visit(graph_.body());
  }

 private:
  /// What is given to the program: f64 too, as module.to() casts it.
  void cast(Value* value) {
    const ir::TensorType* type = value->tensor();
    if (type == nullptr || !type->dtype || info(*type->dtype).kind != DTypeClass::floating) return;
    set(value, *type);
  }

  void cast_result(Value* value) {
    const ir::TensorType* type = value->tensor();
    if (type != nullptr && type->dtype && is_cast(*type->dtype)) set(value, *type);
  }

  void set(Value* value, ir::TensorType type) {
    type.dtype = to_;
    graph_.set_type(value, std::move(type));
  }

  void visit(ir::Block& block) {
    for (Value* input : block.inputs()) cast_result(input);
    for (Node* node : block.nodes()) {
      tell_type(node);
      for (size_t i = 0; i < node->arguments().size(); ++i) cast_argument(node, i);
      for (Value* output : node->outputs()) cast_result(output);
      for (const auto& inner : node->blocks()) visit(*inner);
    }
  }

  void cast_argument(Node* node, size_t i) {
    const Attribute& given = node->arguments()[i].value;
    if (const auto* dtype = std::get_if<DType>(&given)) {
      if (is_cast(*dtype)) graph_.set_argument(node, i, to_);
    } else if (const auto* number = std::get_if<double>(&given)) {
      if (std::isfinite(*number) && std::abs(*number) > largest_) {
        graph_.set_argument(node, i, std::copysign(largest_, *number));
      }
    }
  }

  void tell_type(Node* node) {
    const auto& name = node->op().name;
    if (std::ranges::find(kMakers, name) == kMakers.end() || node->outputs().size() != 1) return;
    const ir::TensorType* type = node->output(0)->tensor();
    if (type == nullptr || type->dtype != DType::f32) return;
    const Attribute* told = node->find("dtype");
    if (told != nullptr && !std::holds_alternative<ir::None>(*told)) return;
    std::vector<Argument> arguments = node->arguments();
    std::erase_if(arguments, [](const Argument& one) { return one.name == "dtype"; });
    const auto after = std::ranges::find_if(arguments, [](const Argument& one) {
      return one.name == "layout" || one.name == "device" || one.name == "pin_memory" ||
             one.name == "memory_format";
    });
    arguments.insert(after, {"dtype", DType::f32});
    graph_.set_arguments(node, std::move(arguments));
  }

  Graph& graph_;
  DType to_;
  double largest_;
};

}  // namespace

void cast_floats(Graph& graph, DType to) {
  Caster(graph, to).run();
}

}  // namespace mlc::passes
