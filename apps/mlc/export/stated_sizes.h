// Whether the outputs of an exported model have the sizes that it states for them.
#pragma once

#include "mlc/engine/engine.h"
#include "mlc/onnx/model.h"

#include <memory>
#include <string>

namespace mlc::cli {

/// RUNS, which is STATED in a file. PROBLEM gets the first output of a run that has other sizes
/// than the model states at the sizes of its inputs; both must outlive what comes out.
std::unique_ptr<Model> with_stated_sizes(std::unique_ptr<Model> runs, const onnx::Model& stated,
                                         std::string& problem);

}  // namespace mlc::cli
