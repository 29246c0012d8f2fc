// `mlc quantize --torchscript`: a TorchScript file whose layers compute with bytes, out of
// TorchScript or of a checkpoint with an architecture; LibTorch judges it before it appears.
#pragma once

#include "compress/quantize_onnx.h"
#include "files/batch.h"

#include <string>
#include <string_view>

namespace mlc::cli {

/// dynamic: linear layers find the range of their activations in each run. with_ranges ("static"):
/// samples tell them, and convolutions compute with bytes too.
enum class ScriptForm : uint8_t { dynamic, with_ranges };
std::string_view to_string(ScriptForm form);

struct QuantizeScriptOptions {
  ScriptForm form = ScriptForm::dynamic;
  std::string architecture;  // of --arch
  std::string key;           // of the state_dict in a checkpoint
};

/// GRAPH: of its options those count that are not of ONNX alone; others are usage errors. Errors:
/// those of Artefact::open() and Model::write_quantized(); conflict where a gate is not met; then
/// nothing is written.
Result<FileReport> quantize_script(FileTask& task, const QuantizeScriptOptions& options,
                                   const QuantizeOnnxOptions& graph,
                                   const QuantizeOnnxShared& shared);

}  // namespace mlc::cli
