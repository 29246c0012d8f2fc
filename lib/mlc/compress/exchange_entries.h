// Putting other tensors into a state_dict in place of some.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

/// What an entry becomes: keys and tensors. None: it goes.
using NewEntries = std::vector<std::pair<std::string, uint32_t>>;

/// Errors: conflict where a new key is that of an entry that stays, or of another new one.
Status check_free(const StateDict& state_dict, const std::map<uint32_t, NewEntries>& changed);

/// Exchanges the entries at some positions (StateDictEntry::position). STATE_DICT is read anew.
void exchange_entries(Checkpoint& checkpoint, StateDict& state_dict,
                      const std::map<uint32_t, NewEntries>& changed);

}  // namespace mlc
