// What sets two checkpoints apart beside their tensors: epoch, lists of hyperparameters, the
// options of an optimizer. For tensors see diff.h.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// A place where the trees hold different values. Values as Python shows them, cut where they are
/// long, harmless on a terminal; empty where a side has nothing there.
struct ValueDifference {
  std::string path;  // dotted, as in NamedTensor; "" for the root
  std::string a;
  std::string b;
};

struct ValueDiff {
  std::vector<ValueDifference> differences;
  /// Mappings whose `_metadata` (the versions of modules) differs; "" for the root. No difference:
  /// PyTorch looks at it only to load what older versions saved.
  std::vector<std::string> other_versions;
  /// Those that have `_metadata` on one side only, where both formats could keep it.
  std::vector<std::string> versions_only_in_a;
  std::vector<std::string> versions_only_in_b;
};

/// Whether both formats keep the objects of Python as they were saved: keys of any type,
/// attributes of mappings, what a tensor is. That others lack them is no difference.
bool both_keep_objects(const Checkpoint& a, const Checkpoint& b);

/// A prefix that is taken off the keys of some mappings that begin with it, and off the names of
/// modules in their `_metadata`.
struct StripPrefix {
  std::string_view prefix;
  std::span<const NodeId> in_a;  // the mappings
  std::span<const NodeId> in_b;
};
/// KEY as it is then.
std::string_view without_prefix(std::string_view key, std::string_view prefix);

/// Compares what is no tensor below the roots, in the order of A, then what only B has. Tensors and
/// storages are passed over wherever they are: every_tensor() names them for diff_tensors(). The
/// order of keys and of a set, the class of a mapping and the `_metadata` of state_dicts do not
/// count; a list equals a tuple of the same items; a float is equal only to the same one, -0.0 to
/// 0.0 and a NaN to a NaN; arrays of NumPy as same_numpy_arrays() says. What is too large to be
/// compared counts as different. What several places share is told at each of them; as a whole from
/// the second on where it leads into a cycle, or where that would be too many paths.
ValueDiff diff_values(const Checkpoint& a, const Checkpoint& b, const StripPrefix& strip = {});

/// The same of two state_dicts, under their keys that are texts: what modules keep beside tensors
/// (extra state), what is plain (epoch, name) beside them, and the attributes of their tensors.
/// Collections beside the modules (config, optimizer) and storages are left out: COMPARED gets the
/// keys, sorted, that were not. PREFIX, if any, is taken off as StripPrefix says.
ValueDiff diff_state_dict_values(const Checkpoint& a, const StateDict& in_a, const Checkpoint& b,
                                 const StateDict& in_b, std::string_view prefix,
                                 std::vector<std::string>& compared);

}  // namespace mlc
