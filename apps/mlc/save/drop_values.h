// `mlc save --drop-values`: what lies beside a state_dict, left out by its path.
#pragma once

#include "files/batch.h"
#include "files/open_input.h"

#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

struct DroppedValues {
  std::vector<std::string> paths;  // in tree order
  std::vector<std::string> texts;  // the same for join_list(): "38 tensors in optimizer"
};

/// Takes out of INPUT what one of GLOBS matches: entries of mappings and attributes of objects, by
/// their dotted path ("optimizer", "hyper_parameters.secret"). The state_dicts CHOSEN and what
/// leads to them stay. Errors: usage for globs that match nothing, with the paths that there are; a
/// warning where TASK is one of many files.
Result<DroppedValues> drop_values(Input& input, std::span<StateDict* const> chosen,
                                  const std::vector<std::string>& globs, FileTask& task);

/// Takes those out of the state_dicts of INPUT that are in its tree no more. CHOSEN, which are some
/// of the others, stay what they are.
void forget_dropped(Input& input, std::vector<StateDict*>& chosen);

/// Of the values beside STATE_DICT, `drop_values()` would leave out those; empty for none.
std::vector<std::string> droppable_values(const Checkpoint& checkpoint, const StateDict& state_dict,
                                          const std::string& glob);

}  // namespace mlc::cli
