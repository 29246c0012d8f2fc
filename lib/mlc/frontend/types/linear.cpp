// Linear, Bilinear, Identity.
#include "mlc/frontend/module_types.h"
#include "mlc/frontend/signature.h"

namespace mlc::arch {
namespace {

void add_bias(LeafBuilder& leaf, int64_t fan_in) {
  if (leaf.flag("bias")) {
    leaf.parameter("bias", {leaf.integer("out_features")}, uniform_for(fan_in));
  } else {
    leaf.none("bias");
  }
}

Status build_linear(LeafBuilder& leaf) {
  const int64_t inputs = leaf.integer("in_features");
  leaf.parameter("weight", {leaf.integer("out_features"), inputs}, uniform_for(inputs));
  add_bias(leaf, inputs);
  leaf.forward_expression("torch.linear(input, self.weight, self.bias)");
  return {};
}

Status build_bilinear(LeafBuilder& leaf) {
  const int64_t first = leaf.integer("in1_features");
  leaf.parameter("weight", {leaf.integer("out_features"), first, leaf.integer("in2_features")},
                 uniform_for(first));
  add_bias(leaf, first);
  leaf.forward("input1: Tensor, input2: Tensor", "Tensor",
               "return torch.bilinear(input1, input2, self.weight, self.bias)");
  return {};
}

constexpr ModuleType kRows[] = {
    {"Linear", "in_features: nat, out_features: nat, bias: bool = True, dtype: dtype? = None", "",
     build_linear},
    {"Bilinear",
     "in1_features: pos, in2_features: pos, out_features: pos, bias: bool = True, "
     "dtype: dtype? = None",
     "", build_bilinear},
    {"Identity", kAnyArguments, "input"},
};

}  // namespace

std::span<const ModuleType> linear_types() {
  return kRows;
}

}  // namespace mlc::arch
