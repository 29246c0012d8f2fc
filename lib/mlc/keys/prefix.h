// Removes what wrappers put before and into the names of parameters: DataParallel, DDP,
// torch.compile, FSDP, activation checkpointing. Whole dotted components only: `my_module.x` is
// never touched.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/plan.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct PrefixOptions {
  // What to strip; each ends in a dot (one is added where it is missing) and may have several
  // components. Empty: `module.` and `_orig_mod.` at the front, and `_orig_mod.`,
  // `_fsdp_wrapped_module.` and `_checkpoint_wrapped_module.` anywhere, which no model calls its
  // own.
  std::vector<std::string> prefixes;
  bool anywhere = false;  // also in the middle of a key
  bool partial = false;   // keys that lack a prefix while others have it stay as they are
  int max_depth = -1;     // prefixes removed from the front of a key at most; -1: all
  std::string add;        // put before every key, as it is; then only `prefixes` given are stripped
};

/// The plan that strips prefixes from KEYS.
///
/// Prefixes at the front go in rounds. In the first round all keys must have one of them, but for
/// what wrappers keep beside the model (AveragedModel's `n_averaged` and the like, named in the
/// notes); otherwise the file is mixed: an error, unless `partial`. Later rounds (`module.module.`)
/// go on while all keys have a prefix; where only some have, it is the name of a submodule and
/// stays, with a warning. With `anywhere` a key that has a prefix further in counts as having it;
/// without options a warning tells of wrapped_parts().
///
/// Nothing to strip gives a plan that changes nothing; `prefixes` that are in no key are among its
/// warnings. Errors: usage (an empty prefix); conflict
/// (mixed keys, two keys that become one); unsupported (FSDP's flattened parameters).
Result<Plan> plan_strip_prefix(std::span<const KeyInfo> keys, const PrefixOptions& options = {});

/// A prefix that some keys begin with, for hints: "every key begins with module.".
struct PrefixHint {
  std::string_view prefix;
  uint64_t count = 0;     // keys that begin with it, or for wrappers within the model contain it
  uint64_t total = 0;     // keys that could, leaving out n_averaged and the like
  bool stripped = false;  // by strip-module-prefix without options; others need --prefix
  bool inside = false;    // stripped wherever it stands, also where only some keys have it
};

/// Submodules that are wrapped themselves, as `self.features = nn.DataParallel(...)` does: all that
/// lies below them is in their `module`.
struct WrappedParts {
  std::vector<std::string> parents;  // "features", in the order of the keys
  uint64_t keys = 0;                 // below them
  /// "4 keys have module. behind features".
  std::string text() const;
};
WrappedParts wrapped_parts(std::span<const std::string_view> keys);

/// Those of KEYS that wrappers keep beside the model: n_averaged and the like.
std::vector<std::string> kept_by_wrappers(std::span<const KeyInfo> keys);

/// The known prefixes that occur in KEYS, wrappers first, in the order of a fixed table.
std::vector<PrefixHint> detect_prefixes(std::span<const KeyInfo> keys);

}  // namespace mlc
