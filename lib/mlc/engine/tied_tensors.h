// Tensors that an architecture ties, where a checkpoint stores them more than once.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/weights.h"
#include "mlc/frontend/script_module.h"

#include <map>
#include <string>
#include <vector>

namespace mlc {

/// One tensor under several names, under which the checkpoint has different values.
struct DifferingTie {
  std::string origin;  // the path under which the tensor is made
  std::string other;   // the first one whose values are others than those that are used
  std::string used;    // the last name in the order of the modules

  /// For people: both names, and whose values are used.
  std::string text() const;
};

/// The tied tensors below ROOT that WEIGHTS has under several names with different bytes. The last
/// value counts, as with load_state_dict(), which writes one after the other into the same tensor.
/// Names that WEIGHTS lacks do not count. Errors: those of Weights::get().
Result<std::vector<DifferingTie>> differing_ties(const arch::ScriptModule& root, Weights& weights);

/// By the path under which each tied tensor below ROOT is made the last of its names that WEIGHTS
/// has, whose values load_state_dict() leaves in it. Tensors of which it has no name are left out.
std::map<std::string, std::string> stored_names(const arch::ScriptModule& root,
                                                const Weights& weights);

}  // namespace mlc
