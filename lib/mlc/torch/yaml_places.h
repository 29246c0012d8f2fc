// Lets the code of a model remember the YAML that it was made from, as code in an archive remembers
// its Python: what LibTorch says of a node, of a call in a traceback, and in the debug files of
// TorchScript, is then the line that a person wrote.
#pragma once

#include "mlc/engine/architecture_source.h"

#include <memory>

#include <torch/csrc/jit/frontend/source_range.h>
#include <torch/csrc/jit/serialization/source_range_serialization.h>

namespace mlc::torch_module {

class YamlPlaces : public torch::jit::SourceRangeUnpickler {
 public:
  /// Of the lines of FROM, most of which lie in YAML. Keeps nothing of FROM but those lines.
  YamlPlaces(const arch::ScriptModule& from, std::shared_ptr<torch::jit::Source> yaml);

  /// From now on. Before it, while the text is compiled, problems are told by its own lines.
  void enable() { enabled_ = true; }
  /// The range in the YAML; nothing for lines that nobody wrote.
  std::optional<torch::jit::SourceRange> findSourceRangeThatGenerated(
      const torch::jit::SourceRange& range) override;

 private:
  arch::ScriptModule places_;  // only positions
  std::shared_ptr<torch::jit::Source> yaml_;
  bool enabled_ = false;
};

}  // namespace mlc::torch_module
