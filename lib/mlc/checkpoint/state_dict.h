// Finding the state_dicts inside a checkpoint, whatever was saved around them.
//
// A state_dict is a mapping with text keys and at least one tensor among its values; a module
// (torch.save(model), a TorchScript object) counts too: its state_dict is recovered from the
// pickled attributes without the classes, in PyTorch's order (nn.Module.state_dict).
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct StateDictEntry {
  std::string_view key;
  uint32_t tensor = kNoIndex;
  uint32_t position = 0;  // index in the entries of StateDict::node
};

struct StateDict {
  std::string path;     // dotted path in the tree: "model_state_dict", "" for the root
  std::string printed;  // the same as keys print: `a.b` where `path` has `a\.b`, `0` for `[0]`
  std::vector<std::string> other_paths;  // where the same mapping stands too
  NodeId node = kNoNode;    // the mapping; for modules the recovered one, not yet in the tree
  NodeId module = kNoNode;  // the pickled module it was recovered from
  std::vector<std::string> packed;  // keys of it that only classes could show: module_pickle.h
  NodeId metadata = kNoNode;  // the _metadata mapping (module prefix -> {'version': n}), if any
  std::vector<StateDictEntry> entries;  // in order; tensors only
  std::vector<StateDictEntry> others;   // what else has a text as key (extra state, numbers)
  uint64_t other_values = 0;            // others, and everything under keys that are no text
  bool is_part = false;  // a value of a larger state_dict: chosen only where its path is given

  /// What has a text as key, by number: `entries`, then `others`.
  const StateDictEntry& named(size_t i) const {
    return i < entries.size() ? entries[i] : others[i - entries.size()];
  }
};

/// All state_dicts, outermost first, in tree order. Optimizer and scheduler states are passed over.
/// Recovered ones are added to CHECKPOINT's graph, so that this is called once after reading.
/// Errors: corrupt (a module that contains itself), unsupported (nesting).
Result<std::vector<StateDict>> find_state_dicts(Checkpoint& checkpoint);

/// Adds to ALL the mapping of texts to tensors, or the module, that stands at PATH where no search
/// goes: deep in the tree, or among what belongs to no model. Whether there is one: the state of an
/// optimizer is none. Errors: as above. Pointers into ALL end.
Result<bool> add_state_dict_at(Checkpoint& checkpoint, std::vector<StateDict>& all,
                               std::string_view path);

/// The path of the first mapping below the root that add_state_dict_at() would take; empty for none
/// and for the root.
std::string first_mapping_of_tensors(const Checkpoint& checkpoint);

/// Reads the state_dict at NODE, which is known to be a mapping. PATH is for messages.
StateDict read_state_dict(const Checkpoint& checkpoint, NodeId node, std::string path);

/// Reads STATE_DICT again after its mapping was changed. Pointers into its entries end.
void read_again(const Checkpoint& checkpoint, StateDict& state_dict);

/// The one at PATH ("." is the root); null where there is none, or several that only print so.
const StateDict* state_dict_at(const std::vector<StateDict>& all, std::string_view path);

/// The only one that is no part of another; null where there are several or none.
const StateDict* only_candidate(const std::vector<StateDict>& all);

/// The one to work on: at PATH if given (dotted; list items by number; "." is the root), else
/// only_candidate(). Errors: usage, naming the nearest path, or listing the candidates if there are
/// several (of PATH too: is_ambiguous()), with a hint naming OPTION; for a file without any too,
/// which is no worse for that.
Result<const StateDict*> select_state_dict(const std::vector<StateDict>& all, std::string_view path,
                                           std::string_view option = "--key");

/// Whether PATH is how the keys of several of ALL print and the path of none: the number 0 and the
/// text '0' do, whose paths are `[0]` and `["0"]`.
bool is_ambiguous(const std::vector<StateDict>& all, std::string_view path);

/// What stands at the dotted PATH of the tree, "." being the root; kNoNode for nothing. Steps are
/// as in StateDict::path, or as keys print.
NodeId node_at(const Checkpoint& checkpoint, std::string_view path);

/// Puts every recovered state_dict in place of its module, so that what is written needs no
/// classes. Returns the paths that changed.
std::vector<std::string> materialize_modules(Checkpoint& checkpoint, std::vector<StateDict>& all);

/// What the file holds beside the tensors of STATE_DICT: on each level of the tree what does not
/// lead to it (epoch, optimizer, ...), tensors of the module it was recovered from, its own values
/// that are no tensors under a text key, both by their paths, and "record NAME" for each record of
/// the zip that is neither.
std::vector<std::string> values_beside(const Checkpoint& checkpoint, const StateDict& state_dict);

/// The tensors of the pickled module of STATE_DICT that its state_dict lacks, by where they stand
/// in the tree: packed ones, plain attributes, buffers that are not persistent. None for a
/// state_dict that is one itself.
std::vector<std::string> module_tensors_beside(const Checkpoint& checkpoint,
                                               const StateDict& state_dict);

/// PATH and what lies below it under KEY: "model.w", or KEY alone at the root.
std::string join_path(const std::string& path, std::string_view key);
/// A key of a mapping as paths show it: text as it is, anything else as Python's str() does.
std::string key_text(const pickle::Graph& graph, NodeId key);
/// KEY as paths show it where a number and a TEXT of one mapping print alike, as Python indexes
/// them: `[0]` for the number, `["0"]` for the text.
std::string indexed_key(std::string_view key, bool text);

struct NamedTensor {
  std::string path;  // dotted, list items by number, keys that are no text as Python shows them
  uint32_t tensor = kNoIndex;
  uint64_t spelling = 0;  // bit i % 64: step i is no text key, as `0` may be a number or a text
  /// `path` with indexed_key() for keys of one mapping that print alike; null where no step is one.
  std::shared_ptr<const std::string> indexed{};
};
/// Every tensor of the tree below NODE with its first path, in tree order. A tensor reached twice
/// is listed twice; cycles end.
std::vector<NamedTensor> all_tensors(const Checkpoint& checkpoint, NodeId node);
/// The tensors of STATE_DICT that are no `entries`, named from it on: in values of modules
/// (`fc._extra_state.amax`) and under keys that are no text (`0`). What stands beside the modules
/// (optimizer, ema) is left out.
std::vector<NamedTensor> tensors_in_values(const Checkpoint& checkpoint,
                                           const StateDict& state_dict);
/// Makes `indexed` the path of those that have one: names for people, of which none hides another.
void index_alike(std::vector<NamedTensor>& tensors);
/// How many names of tensors there are below NODE: tied ones count each, those of a mapping once
/// whatever paths lead to it.
uint64_t count_names(const Checkpoint& checkpoint, NodeId node);

}  // namespace mlc
