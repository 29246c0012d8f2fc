#include "save/take_from.h"

#include "files/cast_warnings.h"
#include "files/quantized_codes.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/absorb.h"
#include "mlc/checkpoint/diff.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/keys/apply_plan.h"
#include "mlc/keys/prefix.h"
#include "mlc/tensor/compare.h"
#include "mlc/tensor/convert.h"
#include "save/save_steps.h"
#include "save/tied_entries.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace mlc::cli {
namespace {

/// Moves the tensors ENTRIES of OTHER into CHECKPOINT; returns their nodes there, in order.
Result<std::vector<NodeId>> adopt(Checkpoint& checkpoint, Input& other,
                                  const std::vector<StateDictEntry>& entries) {
  std::vector<NodeId> nodes;
  for (const StateDictEntry& entry : entries) {
    nodes.push_back(other.checkpoint->tensors[entry.tensor].node);
  }
  return absorb(checkpoint, std::move(*other.checkpoint), nodes);
}

/// Which prefix to strip, of which file, so that some keys of OWN and FROM agree; empty for none.
std::string strip_hint(const std::vector<KeyInfo>& own, const std::vector<KeyInfo>& from) {
  const auto helps = [](const std::vector<KeyInfo>& wrapped, const std::vector<KeyInfo>& plain,
                        std::string_view prefix) {
    std::unordered_set<std::string_view> names;
    for (const KeyInfo& key : plain) names.insert(key.name);
    return std::ranges::any_of(wrapped, [&](const KeyInfo& key) {
      return key.name.starts_with(prefix) && names.contains(key.name.substr(prefix.size()));
    });
  };
  const auto hint = [&helps](const std::vector<KeyInfo>& wrapped, const std::vector<KeyInfo>& plain,
                             std::string_view whose) -> std::string {
    for (const PrefixHint& one : detect_prefixes(wrapped)) {
      const std::string prefix(one.prefix);
      if (one.count != one.total || !helps(wrapped, plain, prefix)) continue;
      return std::string(whose) + " keys start with " + printable(prefix) +
             "; strip that first with `mlc strip-module-prefix" +
             (one.stripped ? "" : " --prefix " + shell_word(prefix)) + "`";
    }
    return {};
  };
  const std::string theirs = hint(from, own, "its");
  return theirs.empty() ? hint(own, from, "the input's") : theirs;
}

/// What keeps every tensor of FROM in OTHER from being taken into OWN: MISMATCHED has the shapes of
/// those with a name of the input's.
Error nothing_taken_error(const std::vector<KeyInfo>& own, const Input& other,
                          const StateDict& from, const std::vector<std::string>& mismatched) {
  const std::string& path = other.checkpoint->path;
  if (!mismatched.empty()) {
    return conflict("none of its tensors has the shape and type of the input's of the same name: " +
                        join_list(mismatched, 3),
                    "--from takes whole tensors; `mlc load --expect` lists what differs")
        .in_file(path);
  }
  std::string hint = strip_hint(own, key_infos(*other.checkpoint, from));
  if (hint.empty()) hint = "both must use the same keys; `mlc remap-keys` renames them";
  return conflict("none of its tensors has the name and shape of one of the input's", hint)
      .in_file(path);
}

/// The names of a state_dict that show one tensor: what becomes of one becomes of all.
struct Tie {
  std::vector<size_t> entries;
  std::vector<size_t> taken;  // of them, those that the other checkpoint has; the last one counts
};

/// `save --from`: which tensors are taken from another state_dict, and which are not.
class Taking {
 public:
  Taking(Checkpoint& checkpoint, StateDict& state_dict, Input& other, const StateDict& from,
         std::optional<DType> later)
      : checkpoint_(checkpoint),
        state_dict_(state_dict),
        other_(other),
        from_(from),
        later_(later) {}

  Result<Migration> run(CastLog& casts);

 private:
  void find_ties();
  void match();
  std::string misfit(const Tensor& own, const Tensor& theirs) const;
  Result<std::vector<uint32_t>> adopt_taken();
  Result<bool> equal(uint32_t a, uint32_t b) const;
  void keep_device(uint32_t target, uint32_t fresh);
  Status take(const Tie& tie, const std::vector<uint32_t>& adopted, CastLog& casts);
  void report_rest();
  void report_codes();
  std::string name(size_t entry) const { return sentence_key(state_dict_.entries[entry].key); }

  Checkpoint& checkpoint_;
  StateDict& state_dict_;
  Input& other_;
  const StateDict& from_;
  std::optional<DType> later_;
  std::vector<Tie> ties_;
  std::vector<size_t> tie_of_;                          // by entry
  std::vector<std::optional<StateDictEntry>> sources_;  // by entry
  std::vector<std::string> misfits_;                    // by entry
  Migration out_;
};

void Taking::find_ties() {
  tie_of_.resize(state_dict_.entries.size());
  for (std::vector<size_t>& entries : tied_entries(checkpoint_, state_dict_.entries)) {
    for (const size_t i : entries) tie_of_[i] = ties_.size();
    ties_.push_back({std::move(entries), {}});
  }
}

/// Why THEIRS cannot take the place of OWN; empty where it can.
std::string Taking::misfit(const Tensor& own, const Tensor& theirs) const {
  const Dims want = checkpoint_.sizes(own);
  const Dims have = other_.checkpoint->sizes(theirs);
  if (!std::ranges::equal(want, have)) {
    return format_shape(have) + " instead of " + format_shape(want);
  }
  const std::string layout = layout_name(checkpoint_, own);
  const std::string other_layout = layout_name(*other_.checkpoint, theirs);
  if (layout != other_layout) return other_layout + " instead of " + layout;
  const bool plain = own.kind == TensorKind::dense;
  if (own.dtype == theirs.dtype || (plain && can_convert(theirs.dtype, own.dtype))) return {};
  return std::string(info(theirs.dtype).torch) + " instead of " +
         std::string(info(own.dtype).torch);
}

void Taking::match() {
  std::unordered_map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < from_.entries.size(); ++i) by_name.emplace(from_.entries[i].key, i);
  sources_.resize(state_dict_.entries.size());
  misfits_.resize(state_dict_.entries.size());
  for (size_t i = 0; i < state_dict_.entries.size(); ++i) {
    const StateDictEntry& own = state_dict_.entries[i];
    const auto it = by_name.find(own.key);
    if (it == by_name.end()) continue;
    const StateDictEntry& source = from_.entries[it->second];
    misfits_[i] =
        misfit(checkpoint_.tensors[own.tensor], other_.checkpoint->tensors[source.tensor]);
    if (!misfits_[i].empty()) continue;
    sources_[i] = source;
    ties_[tie_of_[i]].taken.push_back(i);
  }
}

/// What is not taken, unless a tie to what is changes it all the same.
void Taking::report_rest() {
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i]) continue;
    const Tie& tie = ties_[tie_of_[i]];
    if (!tie.taken.empty()) {
      out_.tied.push_back(name(i) + " is " + name(tie.taken.back()));
    } else if (misfits_[i].empty()) {
      out_.missing.push_back(name(i));
    } else {
      out_.mismatched.push_back(name(i) + " " + misfits_[i]);
    }
  }
  std::unordered_set<std::string_view> own;
  for (const StateDictEntry& entry : state_dict_.entries) own.insert(entry.key);
  for (const StateDictEntry& entry : from_.entries) {
    if (!own.contains(entry.key)) out_.unused.push_back(sentence_key(entry.key));
  }
}

/// Codes of one side that become values of the other, or the other way round: the scales beside
/// them are of no account to a cast.
void Taking::report_codes() {
  std::map<std::string_view, std::string> texts;
  for (const ScaledCodes& pair : scaled_codes(*other_.checkpoint, from_)) {
    texts.emplace(from_.entries[pair.codes].key, codes_text(from_, pair));
  }
  for (const ScaledCodes& pair : scaled_codes(checkpoint_, state_dict_)) {
    texts.emplace(state_dict_.entries[pair.codes].key, codes_text(state_dict_, pair));
  }
  for (size_t i = 0; i < sources_.size(); ++i) {
    const auto text = texts.find(state_dict_.entries[i].key);
    if (!sources_[i] || text == texts.end()) continue;
    const DType own = checkpoint_.tensors[state_dict_.entries[i].tensor].dtype;
    const DType theirs = other_.checkpoint->tensors[sources_[i]->tensor].dtype;
    if (own != theirs) out_.codes.push_back(text->second);
  }
}

/// The tensors that are taken, in this checkpoint; by entry.
Result<std::vector<uint32_t>> Taking::adopt_taken() {
  std::vector<StateDictEntry> sources;
  for (const auto& source : sources_) {
    if (source) sources.push_back(*source);
  }
  MLC_TRY(const auto nodes, adopt(checkpoint_, other_, sources));
  std::vector<uint32_t> adopted(sources_.size(), kNoIndex);
  size_t next = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i]) adopted[i] = checkpoint_.tensor_at(nodes[next++]);
  }
  return adopted;
}

Result<bool> Taking::equal(uint32_t a, uint32_t b) const {
  const Tensor& one = checkpoint_.tensors[a];
  const Tensor& two = checkpoint_.tensors[b];
  if (a == b || identity_of(checkpoint_, one) == identity_of(checkpoint_, two)) return true;
  if (one.kind != TensorKind::dense || !can_compare(one.dtype, two.dtype)) return false;
  MLC_TRY(const TensorView left, checkpoint_.view(a));
  MLC_TRY(const TensorView right, checkpoint_.view(b));
  MLC_TRY(const CompareResult result,
          compare_tensors(left, right, {.atol = 0, .rtol = 0, .equal_nan = true}));
  return result.mismatches == 0;
}

/// Values change, not where they belong: as load_state_dict() copies them.
void Taking::keep_device(uint32_t target, uint32_t fresh) {
  const uint32_t from = checkpoint_.tensors[target].storage;
  const uint32_t to = checkpoint_.tensors[fresh].storage;
  if (from == kNoIndex || to == kNoIndex) return;
  checkpoint_.storages[to].location = checkpoint_.storages[from].location;
}

Status Taking::take(const Tie& tie, const std::vector<uint32_t>& adopted, CastLog& casts) {
  if (tie.taken.empty()) return {};
  const size_t last = tie.taken.back();
  uint32_t fresh = adopted[last];
  DType wanted = checkpoint_.tensors[state_dict_.entries[last].tensor].dtype;
  const auto is_floating = [](DType dtype) { return info(dtype).kind == DTypeClass::floating; };
  if (later_ && is_floating(wanted) && is_floating(checkpoint_.tensors[fresh].dtype)) {
    wanted = *later_;
  }
  for (const size_t entry : tie.taken) {
    MLC_TRY_CTX(const bool same, equal(adopted[entry], fresh), "tensor " + name(entry));
    if (!same) {
      out_.lost.push_back(name(entry) + " is " + name(last));
      continue;
    }
    ++out_.taken;
    const DType had = checkpoint_.tensors[adopted[entry]].dtype;
    if (had != wanted) ++out_.casts[{had, wanted}];
  }
  if (checkpoint_.tensors[fresh].dtype != wanted) {
    MLC_TRY_CTX(fresh,
                derive_cast(checkpoint_, fresh, wanted,
                            casts.of(std::string(state_dict_.entries[last].key))),
                "tensor " + name(last));
  }
  std::unordered_set<uint32_t> replaced;
  for (const size_t entry : tie.entries) {
    const uint32_t target = state_dict_.entries[entry].tensor;
    keep_device(target, fresh);
    out_.changed.emplace(state_dict_.entries[entry].key);
    if (!replaced.insert(target).second) continue;
    replace_tensor(checkpoint_, target,
                   replaced.size() == 1 ? fresh : derive_twin(checkpoint_, fresh));
  }
  return {};
}

Result<Migration> Taking::run(CastLog& casts) {
  find_ties();
  match();
  report_rest();
  report_codes();
  if (std::ranges::all_of(ties_, [](const Tie& tie) { return tie.taken.empty(); })) {
    return nothing_taken_error(key_infos(checkpoint_, state_dict_), other_, from_, out_.mismatched);
  }
  MLC_TRY(const std::vector<uint32_t> adopted, adopt_taken());
  for (const Tie& tie : ties_) MLC_CHECK(take(tie, adopted, casts));
  read_again(checkpoint_, state_dict_);
  return std::move(out_);
}

}  // namespace

namespace {

/// Of what both sides have under a key and is no tensor nothing is taken: extra state is named, and
/// weights that quantised modules pack into values would not fit the scales that are taken.
Status check_values(const StateDict& own, const Checkpoint& checkpoint, const Input& other,
                    const StateDict& from, Reporter& reporter) {
  const auto tensors_of = [](const Checkpoint& held, const StateDict& dict, uint32_t position) {
    return count_names(held, (*held.graph.entries(dict.node))[position].second);
  };
  std::vector<std::string> packed;
  std::vector<std::string> kept;
  for (const StateDictEntry& value : own.others) {
    const auto there = std::ranges::find(from.others, value.key, &StateDictEntry::key);
    if (there == from.others.end() || !is_module_key(value.key)) continue;
    if (module_of_extra_state(value.key)) {
      kept.push_back(sentence_key(value.key));
    } else if (tensors_of(checkpoint, own, value.position) > 0 ||
               tensors_of(*other.checkpoint, from, there->position) > 0) {
      packed.push_back(sentence_key(value.key));
    }
  }
  const std::string file = printable(other.checkpoint->path);
  if (!packed.empty()) {
    return unsupported(
        "both files pack weights into values, which --from cannot take: " + join_list(packed),
        "--merge " + file + " --on-conflict last takes whole values");
  }
  if (!kept.empty()) {
    reporter.warn("kept as they were, though " + file + " has them too: " + join_list(kept));
  }
  return {};
}

}  // namespace

Result<Migration> take_from(Checkpoint& checkpoint, StateDict& state_dict, const std::string& path,
                            const std::string& key, std::optional<DType> later, CastLog& casts,
                            Reporter& reporter) {
  MLC_TRY(Input other, open_input(path, reporter));
  MLC_TRY(StateDict * from, choose_other_state_dict(other, state_dict.path, key, "--from-key"));
  MLC_CHECK(refuse_codes(checkpoint, state_dict, "--from"));
  MLC_CHECK(refuse_codes(*other.checkpoint, *from, "--from"));
  MLC_CHECK(check_values(state_dict, checkpoint, other, *from, reporter));
  return Taking(checkpoint, state_dict, other, *from, later).run(casts);
}

void warn_of_migration(const Migration& migration, const MigrationNames& names,
                       Reporter& reporter) {
  const std::string from = printable(names.from);
  std::vector<std::string> absent;
  std::vector<std::string> deselected;
  for (const std::string& key : migration.unused) {
    (names.left_out.contains(key) ? deselected : absent).push_back(key);
  }
  const std::pair<std::string, const std::vector<std::string>*> rows[] = {
      {"kept as they were, of another shape or type in " + from, &migration.mismatched},
      {"kept as they were, not in " + from, &migration.missing},
      {"changed too, being tied to what was taken from " + from, &migration.tied},
      {"not taken from " + from + ", being tied to a tensor of another value there",
       &migration.lost},
      {"not taken from " + from + ", not in " + printable(names.input), &absent},
      {"the selection keeps out of the output, not only of what is taken from " + from,
       &deselected},
  };
  for (const auto& [text, keys] : rows) {
    if (!keys->empty()) reporter.warn(text + ": " + join_list(*keys));
  }
  warn_of_cast_codes(migration.codes, " in " + from + " or " + printable(names.input), reporter);
}

std::string migration_text(const Migration& migration, const std::string& from) {
  std::vector<std::string> casts;
  for (const auto& [types, tensors] : migration.casts) {
    casts.push_back(format_count(tensors) + (casts.empty() ? " of them cast" : "") + " from " +
                    std::string(info(types.first).torch) + " to " +
                    std::string(info(types.second).torch));
  }
  return ", " + format_count(migration.taken) + " taken from " + printable(from) +
         (casts.empty() ? "" : ", " + join_list(casts));
}

void migration_json(JsonWriter& json, const Migration& migration) {
  json.begin_object();
  json.field("taken", migration.taken);
  json.key("casts");
  json.begin_array();
  for (const auto& [types, tensors] : migration.casts) {
    json.begin_object();
    json.field("from", info(types.first).torch);
    json.field("to", info(types.second).torch);
    json.field("tensors", tensors);
    json.end_object();
  }
  json.end_array();
  json.list("missing", migration.missing);
  json.list("mismatched", migration.mismatched);
  json.list("tied", migration.tied);
  json.list("lost", migration.lost);
  if (!migration.codes.empty()) json.list("codes", migration.codes);
  json.field("unused", migration.unused.size());
  json.end_object();
}

}  // namespace mlc::cli
