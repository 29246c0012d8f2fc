// Writing a checkpoint to a path in whichever format: the one place where verbs that make files
// end.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/write_safetensors.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc {

enum class OutputFormat : uint8_t { torch_zip, safetensors };

/// The format for PATH: FORMAT ("pt", "safetensors") if given, else by the extension. Errors: usage
/// for an unknown extension, and where both are given and contradict each other.
Result<OutputFormat> output_format_of(const std::string& path, std::string_view format);

struct SaveOptions {
  OutputFormat format = OutputFormat::torch_zip;
  std::optional<std::string> metadata_yaml;
  SharedPolicy shared = SharedPolicy::dedupe;
  unsigned threads = 1;
  OutputOptions output;
  std::vector<uint32_t> deflated = {};  // of a torch_zip: storages, as TorchZipOptions has them
  /// Looks at the whole file, which lies at the path it is given, before it has its name. May be
  /// empty. Its Error is that of save_checkpoint().
  std::function<Status(const std::string& path)> inspect = {};
};

/// A tensor that is larger than a shard may be, for none is divided.
struct OversizedTensor {
  std::string name;
  uint64_t bytes = 0;  // in a .pt those of its storage
};

struct SaveReport {
  uint64_t tensors = 0;
  uint64_t bytes = 0;  // of tensor data
  uint64_t file_size = 0;
  uint64_t deflated = 0;                                     // records
  std::vector<std::pair<std::string, std::string>> aliases;  // safetensors: dropped name, kept name
  std::vector<std::vector<std::string>> overlaps;            // safetensors: overlapping_views()
  std::vector<std::string> left_out;       // safetensors: paths of values it has no place for
  std::vector<OversizedTensor> oversized;  // in a shard of its own each
};

/// Writes the whole tree (torch_zip) or the tensors of STATE_DICT (safetensors, which needs one) to
/// PATH. The graph changes. Errors: those of the writers.
Result<SaveReport> save_checkpoint(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options,
                                   Reporter& reporter);

/// What save_checkpoint would write to PATH (none: to any), found without reading a tensor and
/// without writing: for dry runs. The graph changes. Errors: those of the writers that do not come
/// from tensor bytes or a full disk.
Result<SaveReport> plan_checkpoint(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options);

/// Error: unsupported where STATE_DICT has tensors inside values of modules, as quantised ones
/// (`fc._packed_params._packed_params`), which a list of named tensors cannot hold. Extra state,
/// which load_state_dict() may go without, is none.
Status check_only_tensors(const Checkpoint& checkpoint, const StateDict& state_dict);

/// Makes the mapping of STATE_DICT the root of the tree: everything around it is left behind, and
/// what in it is no tensor, but for what modules need (`_extra_state`, `_metadata`). Returns the
/// keys that were taken out of it, each with the number of tensors in its value; STATE_DICT is read
/// again.
std::vector<std::pair<std::string, uint64_t>> keep_only(Checkpoint& checkpoint,
                                                        StateDict& state_dict);

/// The tensors of a state_dict with their keys as paths.
std::vector<NamedTensor> named_tensors(const StateDict& state_dict);

}  // namespace mlc
