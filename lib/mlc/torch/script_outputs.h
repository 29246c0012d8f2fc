// What a model in TorchScript returns, as named tensors. Includes LibTorch.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <vector>

#include <ATen/core/ivalue.h>

namespace mlc::torch_module {

struct ScriptOutputs {
  std::vector<NamedValue> values;
  std::vector<NamedText> texts;
  bool has_keys = false;  // whether there is a dictionary, at any depth
};

/// Gives every tensor of RESULT a name: "output", "output.0", "logits", "hidden.1". Errors:
/// unsupported for what is no tensor, number or text, and for two of one name.
Result<ScriptOutputs> collect_outputs(const c10::IValue& result);

}  // namespace mlc::torch_module
