// What every verb on checkpoints does first: open, find the state_dict that is meant, and say in
// notes what the reader noticed.
#pragma once

#include "files/batch.h"
#include "files/shard_place.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/metadata/metadata.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {
struct FollowedOptimizers;
}

namespace mlc::cli {

/// An open checkpoint with its state_dicts.
struct Input {
  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<StateDict> state_dicts;
  std::optional<ShardPlace> shard;
};

/// What to do about NumPy arrays where tensors are wanted.
inline constexpr std::string_view kArraysHint =
    "torch.load gives arrays too: save them with torch.from_numpy(), or with numpy.savez or "
    "pickle.dump, whose arrays mlc reads as tensors";

/// Opens PATH. Warnings of the reader go to REPORTER.
Result<Input> open_input(const std::string& path, Reporter& reporter);

/// The state_dict that KEY names, or the only one. Errors carry the file.
Result<StateDict*> choose_state_dict(Input& input, const std::string& key);

/// What a verb looks at that only reads: a state_dict, or all tensors below another place.
struct Shown {
  const StateDict* state_dict = nullptr;
  std::vector<NamedTensor> tensors;  // named from that place on
};

/// What KEY names, "." being the whole file where its root is no state_dict; without a KEY the only
/// state_dict. Errors carry the file.
Result<Shown> choose_shown(Input& input, const std::string& key);

/// Every tensor of the file, in tree order: those of pickled modules by the names that their
/// state_dicts give, behind the path of the module, all others by where they stand.
std::vector<NamedTensor> tensors_of_file(const Input& input);

/// The tensors of all state_dicts of INPUT that are no part of another, named from the root on.
std::vector<NamedTensor> tensors_of_all(const Input& input, std::string_view prefix = {});

/// choose_state_dict() in a checkpoint that is used beside the main one, of which OWN_KEY was
/// chosen ("" where it is the root and nobody said so): KEY if given, else the one at OWN_KEY too,
/// else the only one. Hints name OPTION ("--from-key").
Result<StateDict*> choose_other_state_dict(Input& other, const std::string& own_key,
                                           const std::string& key, std::string_view option);

/// "every key starts with module.; `mlc strip-module-prefix` removes it", for each prefix that all
/// keys of STATE_DICT have, and for wrappers within the model that some have. KEY: " --key model",
/// where the file has other state_dicts, too.
std::vector<std::string> prefix_hints(const Checkpoint& checkpoint, const StateDict& state_dict,
                                      const std::string& key = {});

/// The same of the wrappers in several state_dicts, each with its --key; one for all where all have
/// the same.
std::vector<std::string> prefix_hints_of_all(const Input& input);

/// KEY for people, who would not see an empty one; not yet harmless on a terminal.
std::string shown_key(const std::string& key);

/// TEXTS with what stands there several times once: "1 (2 keys)", as for the keys 1 and '1'.
std::vector<std::string> merge_alike(const std::vector<std::string>& texts);

/// PATHS of values for join_list() in messages: those that hold tensors as "3 tensors in model",
/// tensors as "mean (1 tensor)"; alike ones are merged.
std::vector<std::string> describe_values(const Checkpoint& checkpoint,
                                         const std::vector<std::string>& paths);

/// Puts recovered state_dicts in place of pickled modules and says so: what mlc writes needs no
/// classes. Error: unsupported for modules of whose weights some would be lost (StateDict::packed).
Status replace_modules(Input& input, Reporter& reporter);

/// Readies INPUT for a file with other weights in STATE_DICT: modules become state_dicts, and with
/// WEIGHTS_ONLY nothing else stays. Warns of what the format of OUTPUT loses. Errors: those of
/// replace_modules().
Status ready_for_weights(Input& input, StateDict& state_dict, bool weights_only,
                         const std::string& output, Reporter& reporter);

/// Says that OUTPUT holds no program any more, or no plain arrays, where CHECKPOINT does.
void warn_of_format(const Checkpoint& checkpoint, const std::string& output, Reporter& reporter);

/// Storages of a torch.save zip that lie in deflated records.
uint64_t count_deflated(const Checkpoint& checkpoint);
/// Says that `mlc save` writes them plain, so that the output is larger.
void warn_of_deflated(const Checkpoint& checkpoint, Reporter& reporter);

/// Says that the optimizers at PATHS were made for other tensors than those beside them.
void warn_of_stale_optimizers(const std::vector<std::string>& paths, Reporter& reporter);

/// Says which optimizers did not follow an edit of state_dicts.
void warn_of_optimizers(const FollowedOptimizers& followed, Reporter& reporter);

/// ", 1 tied name recorded (b is a)": the names that safetensors keeps once. Empty without any.
std::string tied_text(const SaveReport& report);

/// Warns of views that overlapped in the input and do not in the safetensors file of REPORT.
void warn_of_overlaps(const SaveReport& report, Reporter& reporter);

/// "; not copied from beside the input: config.json and tokenizer.json": what transformers needs
/// beside the weights, lies in the folder of CHECKPOINT, and not in FOLDER. Empty if there is
/// nothing of the kind.
std::string companions_text(const Checkpoint& checkpoint, const std::string& folder);

/// The metadata in the checkpoint, or none. Errors: corrupt, usage.
Result<std::optional<Metadata>> read_metadata(const Checkpoint& checkpoint);

}  // namespace mlc::cli
