// Other tensors and other numbers for a TorchScript module.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/program_sites.h"
#include "mlc/torch/program_places.h"

#include <torch/csrc/jit/api/module.h>

namespace mlc::torch_module {

/// A number that calls need to be two becomes an attribute of their modules. Requires: no method of
/// MODULE has run, PLACES is of its methods; runs inside guarded(). Errors: as Model::resize().
Status resize_script(torch::jit::Module& module, const ProgramPlaces& places,
                     const ResizeRequest& request);

}  // namespace mlc::torch_module
