// The steps of `mlc save` between opening and writing, each on a checkpoint in memory.
#pragma once

#include "cli/shared_options.h"
#include "files/cast_log.h"
#include "files/file_warnings.h"
#include "files/open_input.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/keys/follow_optimizers.h"

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// What a selection left out.
struct Selected {
  std::set<std::string> names;  // of what is left out, printable
  FollowedOptimizers optimizers;
};

/// What becomes of the values beside the state_dict.
enum class Beside : uint8_t { kept, left_out };

/// Leaves only what OPTIONS select of STATE_DICT, which is one of INPUT; what stands beside its
/// modules (epoch) goes only where an --exclude names it. Optimizers that name their parameters
/// follow. Errors: usage for a bad pattern, conflict if nothing is left.
/// Patterns that match no key are warned of, with what to give in place of them.
Result<Selected> select_tensors(Input& input, StateDict& state_dict, const SelectOptions& options,
                                Beside beside, Reporter& reporter);

/// Whether there are tensors without names where KEY, or without one the only state_dict, is meant.
bool has_bare_tensors(const Input& input, const std::string& key);

/// Names these, if there are, and warns of it: where only a state_dict can be written.
void name_tensors(Input& input, const std::string& key, Reporter& reporter);

/// What a merge makes of keys that are there already.
enum class OnConflict : uint8_t { error, first, last };

/// What a merge did that what stands beside the state_dict knows nothing of.
struct Merged {
  uint64_t replaced = 0;                 // values (OnConflict::last)
  uint64_t added = 0;                    // tensors that may be parameters
  std::vector<QuantizedRecord> records;  // of the files that were added
};

/// Adds what SELECT chooses of the checkpoints at PATHS to STATE_DICT: tensors and the extra state
/// of modules. Errors: conflict for keys
/// that are there already, ten of them named (OnConflict::error).
Result<Merged> merge_inputs(Checkpoint& checkpoint, StateDict& state_dict,
                            const std::vector<std::string>& paths, const SelectOptions& select,
                            OnConflict on_conflict, FileWarnings& reporter);

/// Makes plain tensors of the DTensors of STATE_DICTS, or EVERYWHERE in the file, that are whole in
/// it, and says which.
void make_plain(Checkpoint& checkpoint, std::span<StateDict* const> state_dicts, bool everywhere,
                Reporter& reporter);

/// Casts the floating-point tensors of STATE_DICTS; tied ones stay tied, also from one to another.
/// Returns how many.
Result<uint64_t> cast_tensors(Checkpoint& checkpoint, std::span<StateDict* const> state_dicts,
                              DType dtype, CastLog& casts);

/// Warns of tensors of STATE_DICT that overlapped before they were cast, in GROUPS of
/// overlapping_views(), and share nothing now. Tied tensors still do, and views side by side never
/// shared anything.
void warn_of_parted(const Checkpoint& checkpoint, const StateDict& state_dict,
                    std::vector<std::vector<std::string>> groups, Reporter& reporter);

/// Gives tensors that show only a part of their storage a storage of their own: those of
/// STATE_DICT, where it is null the ones without names at KEY, else those of every state_dict of
/// INPUT, for it does not depend on which is meant. Errors: of choose_state_dict() where there is
/// none for the tensors.
Status compact_views(Input& input, StateDict* state_dict, const std::string& key);

}  // namespace mlc::cli
