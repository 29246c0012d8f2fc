// Which weights of a state_dict become zero: decided from names and shapes, then from the weights,
// before anything is written.
//
// Magnitude pruning has the semantics of torch.nn.utils.prune: l1_unstructured (scope layer),
// global_unstructured with L1Unstructured (scope global) and ln_structured along dimension 0
// (pattern rows), down to which of equal weights go (smallest.h). What was pruned by it and still
// lies as NAME_orig and NAME_mask counts as one weight, and an amount then means its weights that
// the mask leaves, as PruningContainer has it.
#pragma once

#include "mlc/base/glob.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/smallest.h"
#include "mlc/keys/pattern.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// A share of what there is to prune, or a number.
struct PruneAmount {
  bool is_count = false;
  double share = 0;
  uint64_t count = 0;

  /// Of TOTAL; shares are rounded as Python's round() does, halves to even.
  uint64_t of(uint64_t total) const;
  /// "30 %", "1,000".
  std::string text() const;
};
/// "0.3", "30%", "1000": with a point or a percent sign a share of at most 1, else a count. Errors:
/// usage.
Result<PruneAmount> parse_amount(std::string_view text);

enum class PrunePattern : uint8_t {
  unstructured,
  n_of_m,  // of every M weights along the inputs N stay
  block,   // HEIGHT rows by WIDTH columns at a time
  rows,    // output channels: ln_structured(dim=0)
};
struct PruneShape {
  PrunePattern pattern = PrunePattern::unstructured;
  int64_t first = 0;   // N, or the height
  int64_t second = 0;  // M, or the width

  std::string text() const;
};
/// "unstructured", "rows", "2:4", "block:4x1". Errors: usage.
Result<PruneShape> parse_prune_pattern(std::string_view text);

/// wanda and sparsegpt choose by samples of inputs (data_pruning.h).
enum class PruneMethod : uint8_t { magnitude, random, wanda, sparsegpt };
/// "magnitude", "wanda", ...
std::string_view to_string(PruneMethod method);
enum class PruneScope : uint8_t { layer, global };
enum class PruneNorm : uint8_t { l1, l2 };

struct AmountRule {
  Pattern pattern;
  std::string text;
  PruneAmount amount;
};

struct PruneRules {
  PruneMethod method = PruneMethod::magnitude;
  std::optional<PruneAmount> amount;  // none: only folding, and what rules say
  PruneScope scope = PruneScope::layer;
  PruneNorm norm = PruneNorm::l1;  // of rows and blocks
  PruneShape shape;
  uint64_t seed = 0;        // of random
  bool keep_masks = false;  // beside weights as they are; of those that are zero only some go
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<AmountRule> rules;  // the last one that matches counts, whatever the scope
};

enum class PruneKept : uint8_t {
  no,
  not_floating,
  empty,
  not_plain,  // sparse and distributed tensors, what has no plain elements
  one_dimension,
  bias,
  by_rule,    // excluded, not included, an amount of 0, or none was asked for
  shape,      // no whole number of blocks or of M
  no_inputs,  // of methods by data: no layer that they know multiplies it, as grouped convolutions
};
std::string_view prune_kept_text(PruneKept kept);
std::string_view prune_kept_word(PruneKept kept);

/// One tensor under all its names.
struct PrunedTensor {
  std::vector<std::string> names;
  uint32_t tensor = kNoIndex;  // the weight, or what lies as NAME_orig
  uint32_t mask = kNoIndex;    // what lies as NAME_mask
  PruneKept kept = PruneKept::no;
  PruneAmount amount;
  bool own_amount = false;  // by a rule: not part of a global choice

  // Found by choose_pruned():
  uint64_t units = 0;  // weights, rows or blocks that there are to choose from
  uint64_t to_prune = 0;
  std::shared_ptr<const Smallest> smallest;  // which keys go, of all that were compared; null
                                             // where none goes, and for n_of_m
  std::vector<uint64_t> first_keys;  // of each piece (prune_rows.h), counted over all of those
  bool wide_keys = false;            // keys of 64 bits

  // Found by choose_by_data() instead, of all weights in the order of rows:
  std::shared_ptr<const std::vector<uint8_t>> given_keep;  // 1: it stays
  std::shared_ptr<const std::vector<float>> given_values;  // what it becomes; null: itself

  // Counted by count_pruned(), in weights:
  uint64_t weights = 0;
  uint64_t zeros_before = 0;
  uint64_t zeros_after = 0;
  double energy_before = 0;  // sum of squares
  double energy_after = 0;
  uint64_t not_finite = 0;

  bool is_pruned() const { return kept == PruneKept::no; }
  bool is_folded() const { return mask != kNoIndex; }
};

struct PrunePlan {
  PruneRules rules;
  std::vector<PrunedTensor> tensors;  // in the order of the state_dict
  std::vector<UnusedPattern> unused_patterns;
  bool like_torch = true;  // Smallest::like_torch of all
};

/// Errors: conflict for a mask without its weight or of another shape.
Result<PrunePlan> plan_pruning(const Checkpoint& checkpoint, const StateDict& state_dict,
                               const PruneRules& rules);

/// Chooses what goes. The storages are known to be sound. Errors: usage for counts that
/// are larger than what there is, those of Checkpoint::view(), interrupted.
Status choose_pruned(const Checkpoint& checkpoint, PrunePlan& plan, unsigned threads,
                     Reporter& reporter);

/// Counts what choose_pruned() chose; where WRITTEN is given, also compares with the file at that
/// path, in its state_dict KEY: each weight must be there, bit for bit, or be zero. Errors:
/// internal for any difference, those of reading.
struct PruneCheck {
  std::string written;
  std::string key;
  bool positive_zeros = false;
  size_t every = 1;  // piece that is looked at: a sample
};
Status count_pruned(const Checkpoint& checkpoint, PrunePlan& plan, const PruneCheck& check,
                    unsigned threads, Reporter& reporter);

/// Exchanges the pruned and the folded tensors in STATE_DICT, which is read anew, by what is left
/// of them, computed while it is written: under their names, or with `keep_masks` as NAME_orig and
/// NAME_mask. Weights that go keep their sign, as PyTorch's product with the mask has it, unless
/// POSITIVE_ZEROS. Returns the storages that have at least SHARE of zeros. PLAN must live until
/// then.
struct PruneForm {
  bool positive_zeros = false;
  double share = 0.5;
};
Result<std::vector<uint32_t>> apply_pruning(Checkpoint& checkpoint, StateDict& state_dict,
                                            const PrunePlan& plan, const PruneForm& form);

}  // namespace mlc
