// Writing tensors as safetensors, byte for byte as the reference implementation orders them
// (safetensors/src/tensor.rs: dtype rank descending, then name; header padded to 8 bytes).
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

/// What to do with names that are the very same tensor (tied weights); the format has no aliases.
enum class SharedPolicy : uint8_t {
  dedupe,  // keep the first name in alphabetical order, record the others in __metadata__
  clone,   // write every name in full
  error,   // refuse
};

struct SafetensorsOptions {
  /// __metadata__ entries beside "format": "pt" and the aliases.
  std::vector<std::pair<std::string, std::string>> string_metadata;
  SharedPolicy shared = SharedPolicy::dedupe;
  unsigned threads = 1;
};

struct SafetensorsSummary {
  uint64_t tensors = 0;
  uint64_t bytes = 0;                                        // of tensor data
  std::vector<std::pair<std::string, std::string>> aliases;  // dropped name, kept name
};

/// What write_safetensors would write, found without reading a tensor: for dry runs. Errors: its
/// unsupported and conflict.
Result<SafetensorsSummary> plan_safetensors(const Checkpoint& checkpoint,
                                            const std::vector<NamedTensor>& tensors,
                                            const SafetensorsOptions& options);

/// Writes TENSORS (paths are the names) to OUT, not published. Views are made contiguous. Errors:
/// unsupported naming all tensors whose dtype or kind the format lacks; conflict for shared tensors
/// under SharedPolicy::error; corrupt, write_failed, interrupted.
Result<SafetensorsSummary> write_safetensors(const Checkpoint& checkpoint,
                                             const std::vector<NamedTensor>& tensors,
                                             OutputFile& out, const SafetensorsOptions& options,
                                             Reporter& reporter);

}  // namespace mlc
