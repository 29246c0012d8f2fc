#include "mlc/torch/python_operators.h"

#include "mlc/frontend/python_calls.h"
#include "mlc/torch/names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

namespace mlc::torch_module {
namespace {

using torch::jit::GraphFunction;
using torch::jit::SourceRange;
using torch::jit::SugaredValuePtr;

struct AugmentedOperator {
  std::string_view call;      // of python_calls.h
  std::string_view in_place;  // on tensors
  std::string_view plain;     // on all else
};

constexpr auto kOperators = std::to_array<AugmentedOperator>({
    {"__imod__", "remainder_", "remainder"},
    {"__ipow__", "pow_", "pow"},
    {"__iand__", "bitwise_and_", "__and__"},
    {"__ior__", "bitwise_or_", "__or__"},
    {"__ixor__", "bitwise_xor_", "__xor__"},
    {"__ifloordiv__", "floor_divide_", "floordiv"},
    {"__imatmul__", "matmul", "matmul"},  // Python has none in place either
    {"__iadd__", "add_", "add"},
    {"__isub__", "sub_", "sub"},
    {"__imul__", "mul_", "mul"},
    {"__itruediv__", "div_", "div"},
    {"__ilshift__", "__ilshift__", "__lshift__"},
    {"__irshift__", "__irshift__", "__rshift__"},
});
static_assert(kOperators.size() == arch::kAugmentedCalls.size());

/// `x = __imod__(x, 3)`: in place where x is a tensor, or a list that grows.
class AugmentedValue : public torch::jit::SugaredValue {
 public:
  explicit AugmentedValue(const AugmentedOperator& row) : row_(row) {}

  std::string kind() const override { return "operator"; }

  SugaredValuePtr call(const SourceRange& place, GraphFunction& method,
                       at::ArrayRef<torch::jit::NamedValue> arguments,
                       at::ArrayRef<torch::jit::NamedValue> keywords, size_t results) override {
    const c10::TypePtr type = arguments.at(0).value(*method.graph())->type();
    const bool grows = type->kind() == c10::TypeKind::ListType && row_.in_place == "add_";
    const bool in_place = grows || type->isSubtypeOf(*c10::TensorType::get());
    const auto symbol =
        c10::Symbol::fromQualString("aten::" + std::string(in_place ? row_.in_place : row_.plain));
    const std::vector<torch::jit::NamedValue> taken = with_flags(place, method, arguments);
    return torch::jit::BuiltinFunction(symbol, std::nullopt)
        .call(place, method, in_place ? taken : arguments, keywords, results);
  }

 private:
  /// ARGUMENTS, of the operators of bits with True and False as tensors: LibTorch takes them for
  /// integers, of which a tensor of flags takes none.
  std::vector<torch::jit::NamedValue> with_flags(
      const SourceRange& place, GraphFunction& method,
      at::ArrayRef<torch::jit::NamedValue> arguments) const {
    std::vector<torch::jit::NamedValue> out = arguments.vec();
    if (!row_.in_place.starts_with("bitwise_")) return out;
    for (torch::jit::NamedValue& one : out) {
      torch::jit::Graph& graph = *method.graph();
      torch::jit::Value* value = one.value(graph);
      if (value->type()->kind() != c10::TypeKind::BoolType) continue;
      one = {place, graph.insert(c10::Symbol::fromQualString("aten::tensor"), {value})};
    }
    return out;
  }

  const AugmentedOperator& row_;
};

/// `__flag__(x)`: x, which must be a bool.
class FlagValue : public torch::jit::SugaredValue {
 public:
  std::string kind() const override { return "operator"; }

  SugaredValuePtr call(const SourceRange& place, GraphFunction& method,
                       at::ArrayRef<torch::jit::NamedValue> arguments,
                       at::ArrayRef<torch::jit::NamedValue> /*keywords*/,
                       size_t /*results*/) override {
    torch::jit::Value* value = arguments.at(0).value(*method.graph());
    if (value->type()->kind() == c10::TypeKind::BoolType) {
      return std::make_shared<torch::jit::SimpleValue>(value);
    }
    UnknownName problem;
    if (const auto where = place.file_line_col()) {
      problem.line = std::get<1>(*where);
      problem.column = std::get<2>(*where) + 1;
    }
    problem.message = "TorchScript's `and` and `or` give True or False, not one of their values";
    const bool tensor = value->type()->isSubtypeOf(*c10::TensorType::get());
    problem.hint =
        tensor ? "bool(x) is a tensor of one element as True or False" : "as in a if a != 0 else b";
    throw problem;
  }
};

}  // namespace

std::shared_ptr<torch::jit::SugaredValue> python_operator(const std::string& name) {
  if (name == arch::kFlagCall) return std::make_shared<FlagValue>();
  const auto row = std::ranges::find(kOperators, name, &AugmentedOperator::call);
  return row == kOperators.end() ? nullptr : std::make_shared<AugmentedValue>(*row);
}

}  // namespace mlc::torch_module
