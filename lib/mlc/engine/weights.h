// The tensors of a state_dict for an engine: in place where they lie plain in a file, so that a
// large checkpoint is neither copied nor read before it is used.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/engine/architecture_source.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc {

/// Files are mapped privately: what a model writes into its tensors changes the pages of this
/// process, never the file. Mappings live as long as a Weight that lies in them; the pages of one
/// that is gone are given back, so tensors that share bytes must not be written into while one of
/// them goes. CHECKPOINT must outlive this.
class Weights {
 public:
  Weights(const Checkpoint& checkpoint, const StateDict& state_dict);

  bool has(std::string_view path) const { return tensors_.contains(path); }
  /// The value under the path of TENSOR, converted to its type where the file has another. Errors:
  /// not_found, unsupported for sparse and quantised tensors, those of reading; unsupported for
  /// values that its type cannot hold.
  Result<Weight> get(const arch::ScriptTensor& tensor);
  /// What people should know of the conversions so far: values that changed by more than rounding.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  class Mapping;
  struct Held;
  Result<std::shared_ptr<Mapping>> mapping_of(const InputFile& file);

  const Checkpoint& checkpoint_;
  std::unordered_map<std::string_view, uint32_t> tensors_;
  std::map<const InputFile*, std::shared_ptr<Mapping>> mappings_;
  std::vector<std::string> notes_;
};

}  // namespace mlc
