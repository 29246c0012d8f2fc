// A model that LibTorch runs, as the ONNX model in which its channels are found.
#pragma once

#include "compress/judge_models.h"
#include "files/batch.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/input_spec.h"
#include "mlc/onnx_edit/document.h"
#include "models/onnx_draft.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::cli {

/// A tensor of the model in its picture.
struct PicturedTensor {
  std::string key;         // under which the model has it
  bool is_turned = false;  // its two axes change places
  size_t ones = 0;         // axes of size 1 that it has behind those of the model
};
using PicturedTensors = std::map<std::string, PicturedTensor>;  // by the names of initializers

class ChannelPicture {
 public:
  /// Weights under their names, norms apart from them. CAPTURED was made with SPECS. The file has
  /// no name; PLACE is what it is beside. Values of SITES are there even where the rest of the
  /// picture does without; with them weights can be pictured that have more axes. Errors: those of
  /// lowering and writing.
  static Result<ChannelPicture> draw(CapturedProgram captured, std::span<const InputSpec> specs,
                                     const std::string& place, std::vector<ProgramSite> sites);

  /// Where it can be read, as long as this lives.
  const std::string& path() const { return draft_.path(); }
  /// Those of draw(); values have the names that they have here, "" where nothing here is what they
  /// are.
  const std::vector<ProgramSite>& sites() const { return sites_; }
  /// The operator that a node comes from: "aten::linear"; empty for nodes of others.
  const std::string& source_of(std::string_view node) const;

 private:
  explicit ChannelPicture(OnnxDraft draft) : draft_(std::move(draft)) {}

  OnnxDraft draft_;
  std::vector<ProgramSite> sites_;
  std::map<std::string, std::string, std::less<>> sources_;  // by the names of nodes
};

/// The module whose forward made a node: "layer1.0.conv1" of "/layer1.0.conv1/Conv".
std::string module_path(const onnx::DocNode& node);

using NamedSizes = std::vector<std::pair<std::string, std::vector<int64_t>>>;
/// Which initializers of WHOLE are tensors of a model that has these; one can be several.
PicturedTensors find_pictured(const onnx::Document& whole, const NamedSizes& tensors);

/// What DOCUMENT has for the tensor that is pictured as NAME, with its axes as the model has them;
/// null where it has none.
onnx::DataRef data_of_pictured(const onnx::Document& document, const std::string& name,
                               const PicturedTensor& tensor);

/// The first output that is not what it has to be, in decibels, where channels that nobody reads
/// make no difference; null where all are.
const JudgedOutput* find_unequal(const Judgement& pair);

}  // namespace mlc::cli
