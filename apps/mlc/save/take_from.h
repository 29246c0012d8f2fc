// `mlc save --from`: weights of another checkpoint in place of those of the same names.
#pragma once

#include "cli/json_writer.h"
#include "files/cast_log.h"
#include "files/open_input.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mlc::cli {

/// What taking weights from another checkpoint did.
struct Migration {
  uint64_t taken = 0;
  std::map<std::pair<DType, DType>, uint64_t> casts;  // of them, from one type to another
  std::vector<std::string> missing;                   // not in the other checkpoint
  std::vector<std::string> mismatched;  // there with another shape or layout, or a type of which
                                        // none of the input's can be made
  std::vector<std::string> tied;  // "b is a": not taken itself, but changed with what it is tied to
  std::vector<std::string> lost;  // "a is b": tied to one of another value there, which counts
  std::vector<std::string> codes;   // taken, though FP8 codes with scales on one side only
  std::vector<std::string> unused;  // of the other checkpoint, not in this one
  std::set<std::string, std::less<>> changed;  // keys whose tensors are others now
};

/// Replaces every tensor of STATE_DICT by the one of the same name and shape in the checkpoint at
/// PATH (in its state_dict KEY, where given), converted to the type it had, or to LATER, the type
/// that floating tensors get afterwards, so that values are rounded once; the others stay. Tensors
/// that are tied here stay so: of several values the last counts. CASTS must live until the output
/// is written.
Result<Migration> take_from(Checkpoint& checkpoint, StateDict& state_dict, const std::string& path,
                            const std::string& key, std::optional<DType> later, CastLog& casts,
                            Reporter& reporter);

/// What warnings about a Migration name.
struct MigrationNames {
  const std::string& from;
  const std::string& input;
  const std::set<std::string>& left_out;  // keys that the selection took out of the input
};
void warn_of_migration(const Migration& migration, const MigrationNames& names, Reporter& reporter);

/// ", 3 taken from b.pt, 2 of them cast from float32 to bfloat16".
std::string migration_text(const Migration& migration, const std::string& from);

/// The object under "from" in mlc.save/1.
void migration_json(JsonWriter& json, const Migration& migration);

}  // namespace mlc::cli
