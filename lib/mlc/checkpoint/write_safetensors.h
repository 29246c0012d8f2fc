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

/// What to do with tensors that share memory, which the format cannot say: names of the very same
/// tensor (tied weights), and other views of which the bytes from the first to the last element
/// overlap, as Hugging Face's safetensors.torch takes them for shared. Disjoint views are none.
enum class SharedPolicy : uint8_t {
  dedupe,  // keep the first name of the state_dict, record the others in __metadata__ (see
           // tied_names.h); write overlapping views in full
  clone,   // write every name in full
  error,   // refuse both
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
  std::vector<std::vector<std::string>> overlaps;            // overlapping_views(); not for clone
};

/// The groups of names among TENSORS that show overlapping bytes of one storage, though not the
/// same tensor, in the order of the bytes. Of tied names only the first takes part.
std::vector<std::vector<std::string>> overlapping_views(const Checkpoint& checkpoint,
                                                        const std::vector<NamedTensor>& tensors);
/// The conflict under SharedPolicy::error where there are such GROUPS.
Status refuse_overlaps(const std::vector<std::vector<std::string>>& groups);

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
