// Which outputs of a model hang on random numbers, and who draws them.
#pragma once

#include "mlc/onnx/model.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

/// Whether operators named OP of ONNX give other values each time.
bool is_random(std::string_view op);

struct RandomOutput {
  std::string name;
  std::vector<const Node*> nodes;  // that draw, in the order of the model
};

/// The outputs of MODEL whose values hang on random numbers; a size alone does not. What a branch
/// or loop gives hangs on all that it takes.
std::vector<RandomOutput> random_outputs(const Model& model);

}  // namespace mlc::onnx
