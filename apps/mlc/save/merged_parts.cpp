#include "save/merged_parts.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/parts_of_two.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace mlc::cli {
namespace {

/// What joins parts, which needs what torch.distributed knows of them.
std::string cure() {
  return "mlc joins no parts: `torch.distributed.checkpoint.save()` writes those of all ranks as "
         "one checkpoint, which mlc reads; or, " +
         std::string(kGatherDistributed);
}

}  // namespace

Result<std::vector<std::string>> keys_of_parts(const Checkpoint& checkpoint,
                                               const StateDict& state_dict, const Checkpoint& other,
                                               std::span<const StateDictEntry> merged) {
  std::unordered_map<std::string_view, uint32_t> own;
  for (const StateDictEntry& entry : state_dict.entries) {
    if (is_distributed_part(checkpoint, checkpoint.tensors[entry.tensor]))
      own.emplace(entry.key, entry.tensor);
  }
  std::vector<std::string> keys;
  if (own.empty()) return keys;
  const Tolerance exact{.atol = 0, .rtol = 0, .equal_nan = true};
  const PartsOfTwo of_two(checkpoint, other, exact);
  for (const StateDictEntry& entry : merged) {
    const auto at = own.find(entry.key);
    if (at == own.end() || entry.tensor == kNoIndex) continue;
    const Tensor& ours = checkpoint.tensors[at->second];
    const Tensor& theirs = other.tensors[entry.tensor];
    const bool same_whole = std::ranges::equal(checkpoint.sizes(ours), other.sizes(theirs));
    if (!same_whole || !is_distributed_part(other, theirs)) continue;
    MLC_TRY(const bool same, of_two.same_place(ours, theirs));
    if (!same) keys.emplace_back(entry.key);
  }
  return keys;
}

Error parts_error(const Checkpoint& other, const std::vector<std::string>& keys) {
  return conflict(
             "its DTensors are parts of the tensors that the files before it hold parts of, "
             "as each rank saves its own: " +
                 join_list(sentence_keys(keys)),
             cure())
      .in_file(other.path);
}

void warn_of_lost_parts(const std::string& file, const std::vector<std::string>& keys,
                        Reporter& reporter) {
  if (keys.empty()) return;
  reporter.warn("the output has the parts of " + printable(file) +
                " only, and the rest of each tensor is lost, for the inputs are parts of one "
                "tensor, as each rank saves its own: " +
                join_list(sentence_keys(keys)) + "; " + cure());
}

}  // namespace mlc::cli
