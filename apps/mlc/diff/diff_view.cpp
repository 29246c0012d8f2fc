#include "diff/diff_view.h"

#include "diff/diff_report.h"
#include "files/metadata_sources.h"
#include "files/quantized_codes.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/bare_tensors.h"
#include "mlc/checkpoint/diff_records.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/save.h"
#include "mlc/engine/extra_files.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

namespace mlc::cli {

/// With a key what it names, else the only state_dict; every tensor where there is none.
Result<DiffSide> FileDiff::open(const std::string& path, const std::string& key) {
  DiffSide side;
  MLC_TRY(side.input, open_input(path, context_.reporter));
  Checkpoint& checkpoint = *side.input.checkpoint;
  if ((key.empty() && side.input.state_dicts.empty()) || key == ".") {
    side.tensors = every_tensor(checkpoint, checkpoint.root);
    side.is_whole = true;
    find_prefixed(side);
  } else if (key == "*" && !side.input.state_dicts.empty()) {
    side.key = key;
    side.tensors = tensors_of_all(side.input, arguments_.strip_prefix);
    count_stripped(side);
    side.beside = {"everything but the tensors under keys of state_dicts"};
  } else {
    MLC_TRY(Shown shown, choose_shown(side.input, key));
    const StateDict* chosen = shown.state_dict;
    side.key = chosen == nullptr ? key : chosen->path.empty() ? "." : chosen->path;
    side.tensors = chosen != nullptr ? std::move(shown.tensors)
                                     : every_tensor(checkpoint, node_at(checkpoint, key));
    side.state_dict = chosen;
    side.beside = chosen != nullptr ? sentence_keys(values_beside(checkpoint, *chosen))
                                    : std::vector{"what is no tensor below " + sentence_key(key)};
  }
  MLC_CHECK(strip(side));
  std::erase_if(side.tensors,
                [this](const NamedTensor& named) { return !filter_.selects(named.path); });
  if (arguments_.no_metadata || arguments_.keys_only) return side;
  MLC_TRY(FoundMetadata found, find_metadata(checkpoint));
  if (found.metadata) side.metadata = std::move(*found.metadata);
  return side;
}

/// For all state_dicts at once: of which tensors_of_all() takes it off.
void FileDiff::count_stripped(DiffSide& side) const {
  if (arguments_.strip_prefix.empty()) return;
  const std::vector<NamedTensor> before = tensors_of_all(side.input);
  side.keys = before.size();
  for (size_t i = 0; i < before.size(); ++i) {
    side.stripped += before[i].path != side.tensors[i].path ? 1 : 0;
  }
}

/// Finds where in a whole file --strip-prefix stands before keys: in its state_dicts, else before
/// paths as they are.
void FileDiff::find_prefixed(DiffSide& side) const {
  const std::string& prefix = arguments_.strip_prefix;
  if (prefix.empty()) return;
  std::set<std::string> fronts;
  for (const StateDict& one : side.input.state_dicts) {
    const auto has_it = [&](const StateDictEntry& entry) { return entry.key.starts_with(prefix); };
    const bool found = std::ranges::any_of(one.entries, has_it);
    if (!found || one.module != kNoNode) continue;
    side.stripped_in.push_back(one.node);
    fronts.insert(join_path(one.printed, ""));
    for (const std::string& path : one.other_paths) fronts.insert(join_path(path, ""));
  }
  if (!fronts.empty()) side.fronts = std::move(fronts);
}

/// Takes --strip-prefix off one key; false where it did not have it.
bool FileDiff::take_off_prefix(DiffSide& side, NamedTensor& named) const {
  const std::string& prefix = arguments_.strip_prefix;
  if (prefix.empty()) return false;
  ++side.keys;
  // Steps of the path move with the prefix: what is left to tell is whether all are texts.
  named.spelling = named.spelling == 0 ? 0 : 1;
  size_t at = named.path.find(prefix);
  while (at != std::string::npos && !side.fronts.contains(named.path.substr(0, at))) {
    at = named.path.find(prefix, at + 1);
  }
  if (at == std::string::npos) return false;
  named.path.erase(at, prefix.size());
  ++side.stripped;
  return true;
}

Error FileDiff::both_forms(const DiffSide& side, std::string_view key) const {
  return conflict("has " + sentence_key(key) + " with and without the prefix " +
                      printable(arguments_.strip_prefix),
                  "`mlc load` lists the keys")
      .in_file(side.input.checkpoint->path);
}

/// The same of values under the keys of state_dicts that are no tensors.
Status FileDiff::check_values_stripped(const DiffSide& side) const {
  const std::string_view prefix = arguments_.strip_prefix;
  const auto is_stripped = [&side](const StateDict& one) {
    return &one == side.state_dict ||
           std::ranges::find(side.stripped_in, one.node) != side.stripped_in.end();
  };
  for (const StateDict& one : side.input.state_dicts) {
    if (!is_stripped(one)) continue;
    std::unordered_set<std::string_view> names;
    for (size_t i = 0; i < one.entries.size() + one.others.size(); ++i) {
      const std::string_view name = without_prefix(one.named(i).key, prefix);
      if (!names.insert(name).second) return both_forms(side, name);
    }
  }
  return {};
}

/// Takes --strip-prefix off. Errors: conflict where two keys become one.
Status FileDiff::strip(DiffSide& side) const {
  const std::string& prefix = arguments_.strip_prefix;
  if (prefix.empty()) return {};
  std::unordered_set<std::string_view> names;
  for (NamedTensor& named : side.tensors) {
    if (side.key != "*") take_off_prefix(side, named);  // is off in each of the state_dicts
    if (names.insert(named.path).second) continue;
    return both_forms(side, named.path);
  }
  return check_values_stripped(side);
}

/// Gives a tensor that was saved without a name the one that `mlc save` gives it, where OTHER is of
/// a format in which every tensor has one. Whether it did.
bool FileDiff::name_bare(DiffSide& side, const DiffSide& other) {
  const Checkpoint& checkpoint = *side.input.checkpoint;
  const Format format = other.input.checkpoint->format;
  const bool needs_names = format == Format::safetensors || format == Format::sharded;
  if (!needs_names || !side.is_whole || checkpoint.tensor_at(checkpoint.root) == kNoIndex) {
    return false;
  }
  for (NamedTensor& named : side.tensors) {
    if (named.path.empty()) named.path = kBareTensorName;
  }
  return true;
}

DiffOptions FileDiff::options() const {
  DiffOptions options;
  options.tolerance.atol = arguments_.atol;
  options.tolerance.rtol = arguments_.rtol;
  options.ignore_dtype = arguments_.ignore_dtype;
  options.threads = context_.threads();
  if (arguments_.no_values) options.depth = DiffDepth::layouts;
  if (arguments_.keys_only) options.depth = DiffDepth::keys;
  return options;
}

Result<ExitCode> FileDiff::run() {
  MLC_TRY(a_, open(arguments_.a, arguments_.key));
  MLC_TRY(b_, open(arguments_.b, arguments_.key_b.value_or(arguments_.key)));
  take_framework(a_, b_);
  take_framework(b_, a_);
  named_bare_ = name_bare(a_, b_) || name_bare(b_, a_);
  if (compares_others()) {
    add_tensors_in_values(a_);
    add_tensors_in_values(b_);
  }
  if (filter_.is_active() && a_.tensors.empty() && b_.tensors.empty()) {
    return usage_error("no key of either file is selected by " +
                           globs_text(arguments_.include, arguments_.exclude),
                       "`mlc load` lists the keys that --include and --exclude choose from");
  }
  MLC_TRY(report_, diff_tensors(*a_.input.checkpoint, a_.tensors, *b_.input.checkpoint, b_.tensors,
                                options(), context_.reporter));
  if (arguments_.sort == DiffOrder::movement) sort_by_movement(report_.differences);
  MLC_CHECK(compare_values());
  // Of a whole file the values that are equal have no names here.
  if (!values_compared_) filter_.warn_of_unused(context_.reporter);
  metadata_ = diff_metadata(&a_.metadata.root(), &b_.metadata.root());
  collect_notes();
  if (context_.json())
    show_json();
  else
    show_text();
  return equal() ? ExitCode::done : ExitCode::no;
}

/// Whether the state_dicts can both hold more than tensors: what a format has no place for is no
/// difference.
bool FileDiff::compares_others() const {
  const auto holds_values = [](const DiffSide& side) {
    const Checkpoint& checkpoint = *side.input.checkpoint;
    const bool pickled = checkpoint.format != Format::sharded || !checkpoint.archives.empty();
    return side.state_dict != nullptr && pickled && checkpoint.format != Format::safetensors &&
           checkpoint.format != Format::npz;
  };
  return holds_values(a_) && holds_values(b_);
}

void FileDiff::add_tensors_in_values(DiffSide& side) {
  for (NamedTensor& named : every_tensor_in_values(*side.input.checkpoint, *side.state_dict)) {
    // Under a key that is no text: all of it is compared.
    std::erase(side.beside, sentence_key(join_path(side.state_dict->path, named.path)));
    take_off_prefix(side, named);
    if (filter_.selects(named.path)) side.tensors.push_back(std::move(named));
  }
}

/// What in the state_dicts is no tensor.
void FileDiff::compare_others() {
  std::vector<std::string> compared;
  keep(diff_state_dict_values(*a_.input.checkpoint, *a_.state_dict, *b_.input.checkpoint,
                              *b_.state_dict, arguments_.strip_prefix, compared));
  std::erase_if(values_, [this](const ValueDifference& one) { return !filter_.selects(one.path); });
  for (const std::string& key : compared) {
    others_compared_ += filter_.selects(key) ? 1 : 0;
    for (DiffSide* side : {&a_, &b_}) {
      for (const std::string& old : {key, arguments_.strip_prefix + key}) {
        std::erase(side->beside, sentence_key(join_path(side->state_dict->path, old)));
      }
    }
  }
}

void FileDiff::keep(ValueDiff found) {
  values_ = std::move(found.differences);
  others_ = std::move(found);
}

Status FileDiff::compare_values() {
  if (arguments_.no_values || arguments_.keys_only) return {};
  if (compares_others()) compare_others();
  if (!a_.is_whole || !b_.is_whole || named_bare_) return {};
  keep(diff_values(*a_.input.checkpoint, *b_.input.checkpoint,
                   {arguments_.strip_prefix, a_.stripped_in, b_.stripped_in}));
  MLC_TRY(const auto records, diff_records(*a_.input.checkpoint, *b_.input.checkpoint));
  values_.insert(values_.end(), records.begin(), records.end());
  std::erase_if(values_, [this](const ValueDifference& one) { return !filter_.selects(one.path); });
  values_compared_ = true;
  return {};
}

void FileDiff::note_sharing(const std::vector<std::vector<std::string>>& groups,
                            std::string_view side) {
  for (const auto& group : groups) {
    notes_.push_back(
        fmt::format("share a storage only in {}: {}", side, join_list(sentence_keys(group))));
  }
}

/// What --strip-prefix did: a misspelt one would do nothing.
void FileDiff::note_stripped() {
  if (arguments_.strip_prefix.empty()) return;
  const auto side = [](const DiffSide& one, std::string_view name) {
    if (one.stripped == 0) return fmt::format("no key of {}", name);
    if (one.stripped == one.keys) return fmt::format("all {} of {}", plural(one.keys, "key"), name);
    return fmt::format("{} of {} of {}", format_count(one.stripped), plural(one.keys, "key"), name);
  };
  notes_.push_back("--strip-prefix took " + printable(arguments_.strip_prefix) + " off " +
                   side(a_, "A") + " and " + side(b_, "B"));
}

void FileDiff::note_beside() {
  if (a_.beside.empty() && b_.beside.empty()) return;
  std::string text = "not compared: " + join_list(a_.beside.empty() ? b_.beside : a_.beside);
  if (a_.beside.empty() || b_.beside.empty()) {
    text += a_.beside.empty() ? " in B" : " in A";
  } else if (a_.beside != b_.beside) {
    text += " in A, " + join_list(b_.beside) + " in B";
  }
  // Roots of another build share no path: all that one could say of them is that they differ.
  if (a_.key == b_.key) {
    text += "; `--key .` compares every tensor and value, the optimizer's too";
  }
  notes_.push_back(text);
}

/// Strings of safetensors that differ. Other formats hold none, which says nothing.
void FileDiff::note_strings() {
  const Checkpoint& a = *a_.input.checkpoint;
  const Checkpoint& b = *b_.input.checkpoint;
  const auto has_none = [](const Checkpoint& one) {
    return one.string_metadata.empty() && one.format != Format::safetensors;
  };
  if (arguments_.no_metadata || arguments_.keys_only || has_none(a) || has_none(b)) return;
  const std::map<std::string, std::string> in_a(a.string_metadata.begin(), a.string_metadata.end());
  const std::map<std::string, std::string> in_b(b.string_metadata.begin(), b.string_metadata.end());
  std::set<std::string> keys;
  for (const auto* side : {&in_a, &in_b}) {
    const auto& other = side == &in_a ? in_b : in_a;
    for (const auto& [key, value] : *side) {
      const auto at = other.find(key);
      const bool same = at != other.end() ? at->second == value : key == "format";
      if (!same) keys.insert(sentence_key(key));
    }
  }
  if (keys.empty()) return;
  notes_.push_back("other strings in __metadata__, which do not count: " +
                   join_list(std::vector<std::string>(keys.begin(), keys.end())));
}

void FileDiff::note_versions(std::string_view what, const std::vector<std::string>& paths) {
  if (paths.empty()) return;
  std::vector<std::string> places;
  for (const std::string& path : paths) {
    const std::string_view top = a_.is_whole ? "the root" : "the state_dict";
    places.push_back(path.empty() ? std::string(top) : printable(path));
  }
  notes_.push_back(fmt::format("{}, which do not count, in _metadata of {}", what,
                               join_list(std::move(places))));
}

void FileDiff::note_autograd() {
  if (report_.other_autograd.empty()) return;
  notes_.push_back("a Parameter or requires_grad on one side only, which does not count: " +
                   join_list(merge_alike(sentence_keys(report_.other_autograd))));
}

/// Whether a file holds a program, which nothing here looks at.
bool FileDiff::holds_program() const {
  const auto is_program = [](const DiffSide& side) {
    const Format format = side.input.checkpoint->format;
    return format == Format::torchscript || format == Format::pt2;
  };
  return is_program(a_) || is_program(b_);
}

/// The keys of either file.
uint64_t FileDiff::all_keys() const {
  return report_.common + report_.count(DiffKind::only_in_a) + report_.count(DiffKind::only_in_b) +
         report_.count(DiffKind::key_type);
}

/// Keys of both whose tensors are equal, in what was compared.
uint64_t FileDiff::equal_tensors() const {
  return all_keys() - report_.differences.size();
}

void FileDiff::collect_notes() {
  note_stripped();
  if (report_.value_equal > 0) {
    notes_.push_back(plural(report_.value_equal, "tensor") +
                     (exact() ? " equal by value, not byte for byte" : " within the tolerance"));
  }
  if (report_.without_values > 0 && !arguments_.no_values && !arguments_.keys_only) {
    notes_.push_back(plural(report_.without_values, "tensor") +
                     " without values on both sides (meta): only shapes and types were compared");
  }
  note_sharing(report_.shared_in_a, "A");
  note_sharing(report_.shared_in_b, "B");
  note_beside();
  note_strings();
  note_versions("other module versions", others_.other_versions);
  note_versions("module versions only in A", others_.versions_only_in_a);
  note_versions("module versions only in B", others_.versions_only_in_b);
  note_autograd();
  note_codes();
  if (a_.is_whole && b_.is_whole && holds_program()) {
    const bool extra = !extra_file_names(*a_.input.checkpoint).empty() ||
                       !extra_file_names(*b_.input.checkpoint).empty();
    notes_.push_back(extra ? "not compared: the program and the extra files, only its tensors"
                           : "not compared: the program, only its tensors");
  }
  if (report_.count(DiffKind::only_in_a) == 0 || report_.count(DiffKind::only_in_b) == 0) return;
  const auto fit = check_expected(expected_tensors(*a_.input.checkpoint, a_.tensors),
                                  expected_tensors(*b_.input.checkpoint, b_.tensors), {});
  if (!fit.extra_prefix.empty() || !fit.lacking_prefix.empty() || !fit.most_prefix.empty()) {
    note_prefix(fit);
  } else if (!fit.hint.empty()) {
    notes_.push_back(printable(arguments_.a) + ": " + fit.hint);
  }
}

/// Codes are compared with the values that they stand for.
void FileDiff::note_codes() {
  const auto has_codes = [](const DiffSide& side) {
    const auto record = recorded_weights(*side.input.checkpoint);
    return record.ok() && record->has_value();
  };
  const bool in_a = has_codes(a_);
  if (in_a == has_codes(b_)) return;
  notes_.push_back(printable(in_a ? arguments_.a : arguments_.b) +
                   " holds codes of quantised weights; `mlc dequantize` makes values of them");
}

/// The version of PyTorch that the metadata of OTHER record and the format of SIDE tells, as that
/// of a .pt2 does.
void FileDiff::take_framework(DiffSide& side, const DiffSide& other) {
  const std::string& told = side.input.checkpoint->origin.torch_exactly;
  const bool same = !told.empty() && other.metadata.framework("torch") == told;
  if (!same || side.metadata.framework("torch")) return;
  [[maybe_unused]] const Status set = side.metadata.set_value("framework.torch", MetaValue(told));
}

/// The one difference behind many: one side was saved by a wrapper.
void FileDiff::note_prefix(const ExpectReport& fit) {
  const bool most = !fit.most_prefix.empty();
  const bool in_a = most ? !fit.most_lack_it : !fit.extra_prefix.empty();
  const std::string& prefix = most ? fit.most_prefix : in_a ? fit.extra_prefix : fit.lacking_prefix;
  const std::string& longer = in_a ? arguments_.a : arguments_.b;
  const std::string keys =
      !most ? "the keys of " + printable(longer)
            : format_count(fit.prefixed) + " of " +
                  plural(in_a ? fit.unexpected.size() : fit.missing.size(), "key") + " only in " +
                  printable(longer);
  notes_.push_back(keys + " equal those of " + printable(in_a ? arguments_.b : arguments_.a) +
                   " after stripping " + printable(prefix) +
                   "; to compare the values: --strip-prefix " + shell_word(prefix));
}

Result<ExitCode> diff_files(const DiffArguments& arguments, Context& context) {
  return FileDiff(arguments, context).run();
}

}  // namespace mlc::cli
