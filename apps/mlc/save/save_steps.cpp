#include "save/save_steps.h"

#include "files/quantized_codes.h"
#include "files/unused_patterns.h"
#include "mlc/base/checked_math.h"
#include "mlc/base/glob.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/absorb.h"
#include "mlc/checkpoint/bare_tensors.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/write_safetensors.h"
#include "mlc/keys/apply_plan.h"
#include "mlc/keys/follow_optimizers.h"
#include "mlc/keys/pattern.h"
#include "mlc/keys/prefix.h"
#include "save/drop_values.h"
#include "save/merged_parts.h"
#include "save/tied_entries.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>

namespace mlc::cli {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

Result<std::vector<Pattern>> compile_all(const std::vector<std::string>& texts, MatchKind kind) {
  std::vector<Pattern> patterns;
  for (const std::string& text : texts) {
    MLC_TRY(Pattern pattern, Pattern::compile(kind, text));
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

/// The keys that --include, --exclude and their regex forms choose.
class Selection {
 public:
  static Result<Selection> compile(const SelectOptions& options) {
    Selection out(options);
    MLC_TRY(out.include_regex, compile_all(options.include_regex, MatchKind::regex));
    MLC_TRY(out.exclude_regex, compile_all(options.exclude_regex, MatchKind::regex));
    return out;
  }

  bool contains(const KeyInfo& info) const {
    const std::string_view key = info.name;
    const bool all = (options_->include.empty() && include_regex.empty()) || info.is_beside();
    const bool in = all || any_glob(options_->include, key) || any_match(include_regex, key);
    return in && !any_glob(options_->exclude, key) && !any_match(exclude_regex, key);
  }

  std::vector<Pattern> include_regex;
  std::vector<Pattern> exclude_regex;

 private:
  explicit Selection(const SelectOptions& options) : options_(&options) {}

  static bool any_glob(const std::vector<std::string>& globs, std::string_view key) {
    return std::any_of(globs.begin(), globs.end(),
                       [key](const std::string& glob) { return glob_match(glob, key); });
  }
  static bool any_match(const std::vector<Pattern>& patterns, std::string_view key) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [key](const Pattern& pattern) { return pattern.matches(key); });
  }

  const SelectOptions* options_;
};

/// The module versions in MORE that INTO does not have yet.
void add_versions(Graph& graph, NodeId into, NodeId more) {
  if (into == kNoNode || graph.entries(into) == nullptr || graph.entries(more) == nullptr) return;
  const std::vector<Entry> versions = *graph.entries(more);
  for (const Entry& version : versions) {
    const bool text = graph.is(version.first, NodeKind::text);
    if (!text || graph.find(into, graph.text(version.first)) != kNoNode) continue;
    graph.entries_for_edit(into)->push_back(version);
  }
}

/// A merge takes tensors and what modules keep beside them, which is MERGED: what else OTHER holds
/// stays behind.
void warn_of_unmerged(const Input& other, const StateDict& from,
                      const std::vector<std::string>& merged, Reporter& reporter) {
  std::vector<std::string> beside = values_beside(*other.checkpoint, from);
  std::unordered_set<std::string> taken;
  for (const std::string& key : merged) taken.insert(join_path(from.path, key));
  std::erase_if(beside, [&taken](const std::string& path) { return taken.contains(path); });
  std::vector<std::string> left = describe_values(*other.checkpoint, beside);
  if (other.checkpoint->metadata_yaml) left.emplace_back("its metadata (--meta adds such)");
  for (const auto& [key, value] : other.checkpoint->string_metadata) {
    if (key != "format") left.push_back("the entry " + mlc::quoted(key) + " of its header");
  }
  if (left.empty()) return;
  reporter.warn("not merged from " + printable(other.checkpoint->path) + ": " + join_list(left));
}

/// The tensors of STATE_DICTS by their keys, behind the path of each where there are several.
std::vector<NamedTensor> tensors_of(std::span<StateDict* const> state_dicts) {
  std::vector<NamedTensor> out;
  for (const StateDict* const one : state_dicts) {
    const std::string path = state_dicts.size() > 1 ? one->path : "";
    for (NamedTensor& named : named_tensors(*one)) {
      named.path = join_path(path, named.path);
      out.push_back(std::move(named));
    }
  }
  return out;
}

/// Replaces those of TENSORS that WANTED selects by what DERIVE makes of them, tied ones by one.
/// What was read of STATE_DICTS is read again.
template <class Wanted, class Derive>
Result<uint64_t> replace_tensors(Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                 std::span<StateDict* const> state_dicts, Wanted wanted,
                                 Derive derive) {
  std::map<TensorIdentity, uint32_t> done;
  std::unordered_set<uint32_t> seen;
  uint64_t count = 0;
  for (const NamedTensor& named : tensors) {
    if (!seen.insert(named.tensor).second) continue;
    const Tensor tensor = checkpoint.tensors[named.tensor];
    if (!wanted(tensor)) continue;
    const auto [it, is_new] = done.try_emplace(identity_of(checkpoint, tensor), kNoIndex);
    if (is_new) {
      MLC_TRY_CTX(it->second, derive(named), "tensor " + sentence_key(named.path));
    }
    replace_tensor(checkpoint, named.tensor,
                   is_new ? it->second : derive_twin(checkpoint, it->second));
    ++count;
  }
  for (StateDict* const one : state_dicts) read_again(checkpoint, *one);
  return count;
}

/// Patterns of a selection that match no key, which are mostly misspelt.
class UnusedSelection {
 public:
  UnusedSelection(const Checkpoint& checkpoint, const StateDict& state_dict, Beside beside)
      : checkpoint_(checkpoint), state_dict_(state_dict), beside_(beside) {
    for (size_t i = 0; i < state_dict.entries.size() + state_dict.others.size(); ++i) {
      keys_.emplace_back(state_dict.named(i).key);
    }
  }

  void warn_of_globs(std::string_view flag, const std::vector<std::string>& globs,
                     Reporter& reporter) const {
    for (const UnusedPattern& one : unused_globs(flag, globs, keys_)) {
      const std::string text = one.option + " " + mlc::quoted(one.text) + " matches no key";
      const std::string near = near_glob(one.text, keys_);
      const auto values = droppable_values(checkpoint_, state_dict_, one.text);
      if (!near.empty()) {
        warn(text + "; " + near, reporter);
      } else if (one.option == "--exclude" && beside_ == Beside::kept && !values.empty()) {
        reporter.warn(
            text + ", only what lies beside the state_dict: " + join_list(sentence_keys(values)) +
            "; --drop-values " + shell_word(one.text) + " leaves that out");
      } else {
        warn(text, reporter);
      }
    }
  }

  void warn_of_patterns(std::string_view flag, const std::vector<std::string>& texts,
                        const std::vector<Pattern>& patterns, Reporter& reporter) const {
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool used = std::ranges::any_of(
          keys_, [&](const std::string& key) { return patterns[i].matches(key); });
      if (!used) {
        warn(std::string(flag) + " " + mlc::quoted(texts[i]) + " matches no key", reporter);
      }
    }
  }

 private:
  void warn(const std::string& text, Reporter& reporter) const {
    reporter.warn(text);
    for (const std::string& hint : prefix_hints(checkpoint_, state_dict_)) reporter.warn(hint);
  }

  const Checkpoint& checkpoint_;
  const StateDict& state_dict_;
  Beside beside_;
  std::vector<std::string> keys_;
};

bool has_no_wildcard(const std::string& key) {
  return key.find_first_of("*?[\\") == std::string::npos;
}

/// OTHER, of which MERGED keys are taken, has COLLISIONS with what it shall be merged into. A
/// selection is no way out, for it holds for every input.
Error collision_error(const Input& other, const StateDict& from, size_t merged,
                      const std::vector<std::string>& collisions) {
  constexpr size_t kMostDropped = 3;
  const std::string& path = other.checkpoint->path;
  std::string command = "mlc remap-keys " + shell_word(path);
  if (other.state_dicts.size() > 1) {
    command += " --key " + shell_word(from.path.empty() ? "." : from.path);
  }
  const bool some_stay = collisions.size() < merged;
  if (some_stay && collisions.size() <= kMostDropped &&
      std::ranges::all_of(collisions, has_no_wildcard)) {
    for (const std::string& key : collisions) command += " --drop " + shell_word(key);
  } else {
    command += " --add-prefix other.";
  }
  return conflict(plural(collisions.size(), "key of it exists", "keys of it exist") +
                      " already: " + join_list(sentence_keys(collisions)),
                  "`" + command +
                      " -o other.pt`, then merge other.pt; or --on-conflict says which counts")
      .in_file(path);
}

/// The selection as the rules of remap-keys would have it.
Plan plan_selection(const std::vector<KeyInfo>& keys, const Selection& selection) {
  Plan plan;
  for (uint32_t i = 0; i < keys.size(); ++i) {
    plan.add_name(keys[i]);
    if (selection.contains(keys[i])) {
      PlanItem item;
      item.name = keys[i].name;
      item.sources = {i};
      plan.items.push_back(std::move(item));
    } else {
      plan.dropped.push_back({i, 0, plan.names[i]});
    }
  }
  return plan;
}

}  // namespace

Result<Selected> select_tensors(Input& input, StateDict& state_dict, const SelectOptions& options,
                                Beside beside, Reporter& reporter) {
  Checkpoint& checkpoint = *input.checkpoint;
  MLC_TRY(const Selection selection, Selection::compile(options));
  const UnusedSelection unused(checkpoint, state_dict, beside);
  unused.warn_of_globs("--include", options.include, reporter);
  unused.warn_of_globs("--exclude", options.exclude, reporter);
  unused.warn_of_patterns("--include-regex", options.include_regex, selection.include_regex,
                          reporter);
  unused.warn_of_patterns("--exclude-regex", options.exclude_regex, selection.exclude_regex,
                          reporter);
  const Plan plan = plan_selection(plan_keys(checkpoint, state_dict), selection);
  Selected out;
  if (plan.dropped.empty()) return out;
  if (plan.is_emptied()) {
    return usage_error(
        "the selection leaves no tensor of " + format_count(state_dict.entries.size()),
        "`mlc load` lists the keys");
  }
  std::vector<PlannedStateDict> all;
  for (const StateDict& one : input.state_dicts) {
    if (!one.is_part || &one == &state_dict)
      all.push_back({&one, &one == &state_dict ? &plan : nullptr});
  }
  out.optimizers = follow_optimizers(checkpoint, all);
  std::vector<Entry>& entries = *checkpoint.graph.entries_for_edit(state_dict.node);
  std::vector<bool> dropped(entries.size(), false);
  for (const DroppedKey& key : plan.dropped) {
    dropped[state_dict.named(key.source).position] = true;
    out.names.insert(sentence_key(key.name));
  }
  size_t position = 0;
  std::erase_if(entries, [&](const Entry&) { return dropped[position++]; });
  read_again(checkpoint, state_dict);
  return out;
}

namespace {

/// What a merge takes from OTHER. KEY is a place in the first input, which OTHER need not have.
Result<StateDict> merged_state_dict(Input& other, const std::string& key) {
  auto found = choose_other_state_dict(other, key, "", "--key");
  if (found.ok()) return **found;
  const Error& error = found.error();
  const bool several = other.state_dicts.size() > 1;
  const std::string way = "`mlc save " + shell_word(printable(other.checkpoint->path)) +
                          " --key PATH --weights-only -o one.pt` takes one out, then merge one.pt";
  return Error(error.kind(), error.text(), several ? way : error.hint()).in_file(error.file());
}

/// What a merge takes of FROM.
std::vector<StateDictEntry> merged_entries(const Checkpoint& checkpoint, const StateDict& from,
                                           const Selection& selection) {
  const std::vector<KeyInfo> keys = plan_keys(checkpoint, from);
  std::vector<StateDictEntry> merged;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].is_beside() && selection.contains(keys[i])) merged.push_back(from.named(i));
  }
  std::ranges::sort(merged, {}, &StateDictEntry::position);
  return merged;
}

/// The keys of MERGED that STATE_DICT has too, whatever it has under them, with their positions.
std::unordered_map<std::string, uint32_t> collisions_of(const std::vector<StateDictEntry>& merged,
                                                        const StateDict& state_dict) {
  std::unordered_map<std::string_view, uint32_t> known;
  const size_t keys = state_dict.entries.size() + state_dict.others.size();
  for (size_t i = 0; i < keys; ++i) {
    const StateDictEntry& entry = state_dict.named(i);
    known.emplace(entry.key, entry.position);
  }
  std::unordered_map<std::string, uint32_t> collisions;
  for (const StateDictEntry& entry : merged) {
    const auto at = known.find(entry.key);
    if (at != known.end()) collisions.emplace(entry.key, at->second);
  }
  return collisions;
}

std::vector<std::string> keys_among(const std::vector<StateDictEntry>& merged,
                                    const std::unordered_map<std::string, uint32_t>& collisions) {
  std::vector<std::string> keys;
  for (const StateDictEntry& entry : merged) {
    if (collisions.contains(std::string(entry.key))) keys.emplace_back(entry.key);
  }
  return keys;
}

/// What has to stand before each key of MERGED for all of them to be keys of STATE_DICT: "head.",
/// all such prefixes.
std::vector<std::string> prefixes_of_inner(const std::vector<StateDictEntry>& merged,
                                           const StateDict& state_dict) {
  std::unordered_set<std::string_view> keys;
  for (const StateDictEntry& entry : state_dict.entries) keys.insert(entry.key);
  std::vector<std::string> out;
  const std::string inner = "." + std::string(merged[0].key);
  for (const StateDictEntry& entry : state_dict.entries) {
    if (!entry.key.ends_with(inner)) continue;
    const std::string prefix(entry.key.substr(0, entry.key.size() - inner.size() + 1));
    const bool all = std::ranges::all_of(merged, [&](const StateDictEntry& one) {
      return keys.contains(prefix + std::string(one.key));
    });
    if (all) out.push_back(prefix);
  }
  return out;
}

/// "model." where every key of ENTRIES starts with it; else nothing.
std::string shared_first_name(const std::vector<StateDictEntry>& entries) {
  const std::string_view first = entries.empty() ? std::string_view() : entries[0].key;
  const std::string_view name = first.substr(0, first.find('.') + 1);  // npos + 1 is 0
  const auto has_it = [name](const auto& entry) { return entry.key.starts_with(name); };
  return std::ranges::all_of(entries, has_it) ? std::string(name) : std::string();
}

/// The state_dict of a module on its own has shorter keys than the model has for it.
void warn_of_missing_prefix(const Checkpoint& checkpoint, const StateDict& state_dict,
                            const Input& other, const std::vector<StateDictEntry>& merged,
                            bool only_one, Reporter& reporter) {
  if (merged.empty()) return;
  const std::string& path = other.checkpoint->path;
  const auto command = [&path](const std::string& prefix) {
    return "`mlc remap-keys " + shell_word(path) + " --add-prefix " + shell_word(prefix) +
           " -o other.pt`";
  };
  if (const auto inner = prefixes_of_inner(merged, state_dict); !inner.empty()) {
    reporter.warn("every key of " + printable(path) + " is one of " + printable(checkpoint.path) +
                  " behind " + join_list(printable_all(inner), 3) +
                  ", and is added beside it; to replace those, " + command(inner[0]) +
                  " and merge other.pt with --on-conflict last");
    return;
  }
  const std::string shared = shared_first_name(state_dict.entries);
  const auto has_it = [&shared](const auto& entry) { return entry.key.starts_with(shared); };
  if (!only_one || shared.empty() || std::ranges::any_of(merged, has_it)) return;
  reporter.warn("every key of " + printable(checkpoint.path) + " starts with " + printable(shared) +
                ", none of " + printable(path) + " does; " + command(shared) +
                " would put it there");
}

/// Names that were one tensor before only some of them were TWICE, keys that several files have.
void warn_of_parted_ties(const Checkpoint& checkpoint, const StateDict& state_dict,
                         const Checkpoint& other, std::span<const StateDictEntry> merged,
                         const std::vector<std::string>& twice, OnConflict on_conflict,
                         Reporter& reporter) {
  const bool first = on_conflict == OnConflict::first;
  const std::vector<std::string> parted =
      first ? tied_to(other, merged, twice) : tied_to(checkpoint, state_dict.entries, twice);
  if (parted.empty()) return;
  const std::string path = printable(other.path);
  reporter.warn((first ? "tied in " + path +
                             " to what is not taken from it, and added as it is "
                             "there"
                       : "kept as they were, and no longer tied to what is replaced by that of " +
                             path + ", which --from would change together") +
                ": " + join_list(parted));
}

/// One file of a merge. Returns how many values it replaced.
Result<uint64_t> merge_one(Checkpoint& checkpoint, StateDict& state_dict, Input other,
                           const StateDict& from, std::vector<StateDictEntry> merged,
                           OnConflict on_conflict, Reporter& reporter) {
  const auto collisions = collisions_of(merged, state_dict);
  const std::vector<std::string> twice = keys_among(merged, collisions);
  MLC_TRY(const auto parts, keys_of_parts(checkpoint, state_dict, *other.checkpoint, merged));
  if (!parts.empty() && on_conflict == OnConflict::error) {
    return parts_error(*other.checkpoint, parts);
  }
  if (!twice.empty() && on_conflict == OnConflict::error) {
    return collision_error(other, from, merged.size(), twice);
  }
  std::vector<std::string> names;
  for (const StateDictEntry& entry : merged) names.emplace_back(entry.key);
  warn_of_unmerged(other, from, names, reporter);
  const std::string of_other =
      "by that of " + printable(other.checkpoint->path) + ": " + join_list(sentence_keys(twice));
  const bool first = on_conflict == OnConflict::first;
  if (!twice.empty()) {
    reporter.warn((first ? "kept, and not replaced " : "replaced ") + of_other);
    warn_of_parted_ties(checkpoint, state_dict, *other.checkpoint, merged, twice, on_conflict,
                        reporter);
  }
  if (first) {
    std::erase_if(merged, [&](const StateDictEntry& entry) {
      return collisions.contains(std::string(entry.key));
    });
  }
  warn_of_lost_parts(first ? checkpoint.path : other.checkpoint->path, parts, reporter);
  names.clear();
  std::vector<NodeId> sources;
  for (const StateDictEntry& entry : merged) {
    names.emplace_back(entry.key);
    sources.push_back((*other.checkpoint->graph.entries(from.node))[entry.position].second);
  }
  const NodeId versions = from.metadata;
  if (versions != kNoNode) sources.push_back(versions);
  MLC_TRY(const auto nodes, absorb(checkpoint, std::move(*other.checkpoint), sources));
  for (size_t i = 0; i < names.size(); ++i) {
    std::vector<Entry>& entries = *checkpoint.graph.entries_for_edit(state_dict.node);
    if (const auto at = collisions.find(names[i]); at != collisions.end()) {
      entries[at->second].second = nodes[i];
    } else {
      const NodeId name = checkpoint.graph.add_text(names[i]);
      entries.emplace_back(name, nodes[i]);
    }
  }
  if (versions != kNoNode) add_versions(checkpoint.graph, state_dict.metadata, nodes.back());
  read_again(checkpoint, state_dict);
  return on_conflict == OnConflict::last ? twice.size() : 0;
}

}  // namespace

Result<Merged> merge_inputs(Checkpoint& checkpoint, StateDict& state_dict,
                            const std::vector<std::string>& paths, const SelectOptions& select,
                            OnConflict on_conflict, FileWarnings& reporter) {
  MLC_TRY(const Selection selection, Selection::compile(select));
  Merged counts;
  const auto count_parameters = [&] {
    return static_cast<uint64_t>(std::ranges::count_if(state_dict.entries, [&](const auto& entry) {
      return may_be_parameter(checkpoint, entry);
    }));
  };
  const uint64_t before = count_parameters();
  for (const std::string& path : paths) {
    MLC_TRY(Input other, open_input(path, reporter.of_file(path)));
    MLC_TRY(const StateDict from, merged_state_dict(other, select.key));
    MLC_TRY(auto record, recorded_weights(*other.checkpoint));
    if (record) counts.records.push_back(std::move(*record));
    std::vector<StateDictEntry> merged = merged_entries(*other.checkpoint, from, selection);
    warn_of_missing_prefix(checkpoint, state_dict, other, merged, paths.size() == 1, reporter);
    MLC_TRY(const uint64_t count, merge_one(checkpoint, state_dict, std::move(other), from,
                                            std::move(merged), on_conflict, reporter));
    counts.replaced += count;
  }
  counts.added = count_parameters() - before;
  return counts;
}

bool has_bare_tensors(const Input& input, const std::string& key) {
  const std::vector<StateDict>& all = input.state_dicts;
  const bool found =
      key.empty() ? !all.empty() : state_dict_at(all, key) != nullptr || is_ambiguous(all, key);
  return !found && are_bare_tensors(*input.checkpoint, key);
}

void name_tensors(Input& input, const std::string& key, Reporter& reporter) {
  if (!has_bare_tensors(input, key)) return;
  Checkpoint& checkpoint = *input.checkpoint;
  const std::string path = key == "." ? "" : key;
  const std::vector<std::string> names = name_bare_tensors(checkpoint, path);
  input.state_dicts.push_back(read_state_dict(checkpoint, node_at(checkpoint, path), path));
  reporter.warn(
      printable(checkpoint.path) + ": " +
      (path.empty() ? "its " : "at " + printable(path) + " the ") +
      (names.size() == 1 ? "tensor has no name; it is" : "tensors have no names; they are") +
      " written as " + join_list(names, 3));
}

void make_plain(Checkpoint& checkpoint, std::span<StateDict* const> state_dicts, bool everywhere,
                Reporter& reporter) {
  std::vector<std::string> taken;
  const auto take = [&](const std::vector<NamedTensor>& tensors) {
    for (const std::string& path : take_whole_distributed(checkpoint, tensors)) {
      taken.push_back(printable(path));
    }
  };
  for (const StateDict* one : state_dicts) take(named_tensors(*one));
  if (everywhere) take(all_tensors(checkpoint, checkpoint.root));
  if (taken.empty()) return;
  reporter.warn("written as plain tensors, for all of each DTensor is in this file: " +
                join_list(merge_alike(taken)));
}

Result<uint64_t> cast_tensors(Checkpoint& checkpoint, std::span<StateDict* const> state_dicts,
                              DType dtype, CastLog& casts) {
  const auto is_cast = [dtype](const Tensor& tensor) {
    return tensor.kind == TensorKind::dense && tensor.dtype != dtype &&
           info(tensor.dtype).kind == DTypeClass::floating;
  };
  std::vector<NamedTensor> cast;
  for (const StateDict* one : state_dicts) {
    for (NamedTensor& named : named_tensors(*one)) {
      if (is_cast(checkpoint.tensors[named.tensor])) cast.push_back(std::move(named));
    }
  }
  MLC_CHECK(check_expansion(checkpoint, cast));
  const auto derive = [&](const NamedTensor& named) {
    return derive_cast(checkpoint, named.tensor, dtype, casts.of(named.path));
  };
  return replace_tensors(checkpoint, tensors_of(state_dicts), state_dicts, is_cast, derive);
}

void warn_of_parted(const Checkpoint& checkpoint, const StateDict& state_dict,
                    std::vector<std::vector<std::string>> groups, Reporter& reporter) {
  if (groups.empty()) return;
  std::unordered_set<std::string> still;  // views of types that are not cast
  for (const auto& group : overlapping_views(checkpoint, named_tensors(state_dict))) {
    still.insert(group.begin(), group.end());
  }
  std::vector<std::string> parted;
  for (const auto& group : groups) {
    for (const std::string& name : group) {
      if (!still.contains(name)) parted.push_back(sentence_key(name));
    }
  }
  if (parted.empty()) return;
  reporter.warn("views of overlapping ranges of one storage, each written in full after --dtype: " +
                join_list(parted));
}

Status compact_views(Input& input, StateDict* state_dict, const std::string& key) {
  Checkpoint& checkpoint = *input.checkpoint;
  std::vector<StateDict*> chosen;
  const bool bare = state_dict == nullptr && has_bare_tensors(input, key);
  for (StateDict& one : input.state_dicts) chosen.push_back(&one);
  if (state_dict != nullptr) chosen = {state_dict};
  if (chosen.empty() && !bare && !all_tensors(checkpoint, checkpoint.root).empty()) {
    MLC_CHECK(choose_state_dict(input, ""));
  }
  const std::vector<NamedTensor> tensors =
      bare ? all_tensors(checkpoint, node_at(checkpoint, key)) : tensors_of(chosen);
  // Views that overlap can take more room apart than together: their storage stays whole.
  std::map<uint32_t, uint64_t> apart;  // storage -> bytes of its tensors, each on its own
  std::set<TensorIdentity> seen;
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (tensor.storage == kNoIndex) continue;
    if (!seen.insert(identity_of(checkpoint, tensor)).second) continue;
    uint64_t& sum = apart[tensor.storage];
    sum = checked_add(sum, compact_size(checkpoint, tensor)).value_or(UINT64_MAX);
  }
  const auto wastes = [&](const Tensor& tensor) {
    return tensor.kind == TensorKind::dense && tensor.storage != kNoIndex &&
           apart[tensor.storage] < checkpoint.storages[tensor.storage].byte_size();
  };
  const auto derive = [&](const NamedTensor& named) {
    return derive_compact(checkpoint, named.tensor);
  };
  MLC_CHECK(replace_tensors(checkpoint, tensors, chosen, wastes, derive));
  return {};
}

}  // namespace mlc::cli
