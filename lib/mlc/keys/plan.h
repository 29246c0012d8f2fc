// What will be done to the tensors of a state_dict, by name: printable before anything is done.
//
// A Plan is made from rules (plan_builder.h) or wrapper prefixes (prefix.h) and the names of a
// state_dict; it owns all its text and never sees a file. The checkpoint writer carries it out.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/keys/name_index.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// A tensor as this folder sees it, or another value of a state_dict. The views must live while a
/// plan is made, not longer. Others come after all tensors.
struct KeyInfo {
  std::string_view name;
  std::span<const int64_t> shape = {};
  bool has_shape = false;  // false: only the name is known, checks of shapes are left out
  bool is_tensor = true;

  /// Whether this is no module's own, but stands beside the model: epoch, optimizer, config. Rules
  /// that name it hold for it, those for every key do not.
  bool is_beside() const { return !is_tensor && !is_module_key(name); }
};

/// One tensor, or other value, of the output.
struct PlanItem {
  enum class Op {
    keep,       // the source under its own name
    rename,     // the source under another name
    split,      // one part of the source along `dim`
    concat,     // the sources, in order, joined along `dim`
    transpose,  // the source with its dimensions in the order `permutation`, perhaps renamed too
  };

  std::string name;
  Op op = Op::keep;
  std::vector<uint32_t> sources;  // indices into Plan::names; several for concat only
  int64_t dim = 0;                // split, concat; counted from the front where the shape is known
  uint32_t part = 0;              // split: this part, from 0, of `parts`
  uint32_t parts = 0;
  // Along `dim`, of every part (split) or source (concat). Empty where shapes are unknown and the
  // rule gives no sizes.
  std::vector<int64_t> sizes;
  std::vector<int64_t> permutation;  // output dimension i is source dimension permutation[i]
  std::vector<uint32_t> rules;       // indices into Plan::uses, in the order they were applied

  /// Elements along `dim` before this part. Requires: op == split, sizes known.
  int64_t part_offset() const;
};

/// An input tensor that is left out (or, for parts of a split, one such part).
struct DroppedKey {
  uint32_t source = 0;  // index into Plan::names
  uint32_t rule = 0;    // index into Plan::uses
  std::string name;     // as it was called when it was dropped
};

/// A rule, and how many keys it was applied to.
struct RuleUse {
  std::string label;  // "rule 3", "--drop '*.bias'"
  uint64_t count = 0;
};

struct PlanCounts {
  uint64_t untouched = 0;
  uint64_t renamed = 0;  // renamed and nothing else
  uint64_t dropped = 0;
  uint64_t split = 0;         // source tensors that are split
  uint64_t concatenated = 0;  // output tensors joined from several
  uint64_t transposed = 0;
};

struct Plan {
  std::vector<std::string> names;     // the input, in its order: tensors first
  uint32_t first_other = UINT32_MAX;  // the names from here on are no tensors
  std::vector<PlanItem> items;        // the output, ordered by the first source of each
  std::vector<DroppedKey> dropped;    // by source
  std::vector<RuleUse> uses;          // one for each rule, in the order of the rules
  std::vector<std::string> warnings;  // what `--strict` makes an error
  std::vector<std::string> notes;     // worth a line for the user, never an error

  /// Adds KEY to `names`, as makers of plans do with each.
  void add_name(const KeyInfo& key);

  PlanCounts counts() const;
  bool is_tensor(uint32_t source) const { return source < first_other; }
  /// Whether there were tensors and none is left.
  bool is_emptied() const;
  /// Whether anything is renamed, dropped or changed.
  bool changes_anything() const;
  /// Whether tensors only get other names (and some may be dropped): their bytes and order stay.
  bool is_pure_rename() const;
  /// Whether every tensor of the input is in the output: only then can the plan be inverted.
  bool is_one_to_one() const { return dropped.empty(); }

  /// What the input tensor OLD is called in the output; nothing if there is no such tensor or it is
  /// dropped, split or joined with others. The first call prepares a table, so it must not run
  /// beside another call on the same plan.
  std::optional<std::string> new_name_of(std::string_view old) const;

  /// Checks that output names are distinct and not empty; every maker of a plan calls it last.
  /// Errors: conflict, listing the first ten collisions.
  Status check_names() const;

 private:
  void index_items() const;

  mutable NameIndex item_by_old_name_;  // items that are the only one of their tensor
  mutable bool is_indexed_ = false;
};

/// "old -> new  (rule 2)", "a + b -> c  (rule 3, concat dim 0)", or just the name for `keep`.
std::string describe(const PlanItem& item, const Plan& plan);
/// "drop old  (rule 2)".
std::string describe(const DroppedKey& key, const Plan& plan);

}  // namespace mlc
