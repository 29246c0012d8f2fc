// What `mlc save` says of the values beside the state_dicts that it changes.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/checkpoint/state_dict.h"

#include <functional>
#include <set>
#include <span>
#include <string>

namespace mlc::cli {

/// What was done to a state_dict.
struct StateDictChange {
  const std::string& key;                                        // where it lies
  const std::set<std::string, std::less<>>* replaced = nullptr;  // keys with other values now
  bool cast = false;                                             // all have another type
};

/// Says what beside STATE_DICT stays as it was, and what changed all the same, being tensors of it.
void warn_of_values_beside(const Checkpoint& checkpoint, const StateDict& state_dict,
                           const StateDictChange& change, Reporter& reporter);

/// Says which tensors beside STATE_DICTS have another type now, being tensors of these.
void warn_of_cast_beside(const Checkpoint& checkpoint, std::span<StateDict* const> state_dicts,
                         Reporter& reporter);

}  // namespace mlc::cli
