// What `forward` of a model in TorchScript takes, and how it is put together from named tensors.
// Includes LibTorch.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/torch/torchscript_file.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// What `forward` takes, self aside.
std::vector<c10::Argument> arguments_of(const torch::jit::Module& module);

/// What TYPE is, or may be instead of None.
c10::TypePtr without_none(c10::TypePtr type);

bool is_tensor(const c10::TypePtr& type);

/// Whether ARGUMENT takes several tensors: List[Tensor], Tuple[Tensor, ...], Dict[str, Tensor].
bool takes_parts(const c10::Argument& argument);

/// As an annotation. The name of a NamedTuple says nothing of what is in it.
std::string type_text(const c10::Argument& argument);

/// TRACED, of a file that a trace was written to, says more of them, where there are as many.
Signature signature_of(const std::vector<c10::Argument>& arguments,
                       const std::vector<TracedInput>& traced);

/// "mask" of "batch.mask", a part of the argument NAME "batch"; nothing where INPUT is none.
std::optional<std::string> part_of(const std::string& name, const std::string& input);

/// A tensor of a list, a tuple or a dictionary, by its index or key.
using Parts = std::vector<std::pair<std::string, at::Tensor>>;

/// What an argument for which takes_parts() holds is given. Errors: usage for parts that it does
/// not have, and for another number of them than a tuple has.
Result<c10::IValue> joined_parts(const c10::Argument& argument, const Parts& parts);

}  // namespace mlc::torch_module
