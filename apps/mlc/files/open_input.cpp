#include "files/open_input.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/bare_tensors.h"
#include "mlc/checkpoint/diff_values.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/write_sharded.h"
#include "mlc/engine/extra_files.h"
#include "mlc/keys/apply_plan.h"
#include "mlc/keys/follow_optimizers.h"
#include "mlc/keys/prefix.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <unordered_map>

#include <fmt/format.h>
#include <re2/re2.h>

namespace mlc::cli {
namespace {

/// Why KEY names no state_dict although there is something; empty if there is nothing.
std::string what_stands_at(const Checkpoint& checkpoint, const std::string& key) {
  const NodeId node = key.empty() ? kNoNode : node_at(checkpoint, key);
  if (node == kNoNode) return {};
  const std::string place = key == "." ? "the root" : mlc::quoted(key);
  if (is_optimizer(checkpoint.graph, node)) {
    return place + " is the state of an optimizer, not the state_dict of a model";
  }
  const size_t tensors = all_tensors(checkpoint, node).size();
  if (tensors == 0) return place + " holds no tensor";
  return place + " is no state_dict, though " + plural(tensors, "tensor") + " can be reached there";
}

/// NumPy arrays in a mapping look like a state_dict, and are none to PyTorch.
Status refuse_arrays(const Checkpoint& checkpoint) {
  const uint64_t arrays = count_numpy_arrays(checkpoint.graph, checkpoint.root);
  if (arrays == 0) return {};
  return usage_error("holds no tensor, but " + plural(arrays, "NumPy array"),
                     std::string(kArraysHint))
      .in_file(checkpoint.path);
}

/// Why CHECKPOINT has no state_dict, where more can be said than that.
Status refuse_none(const Checkpoint& checkpoint) {
  const auto tensors = all_tensors(checkpoint, checkpoint.root);
  if (tensors.empty()) return refuse_arrays(checkpoint);
  const std::string held = "holds " + plural(tensors.size(), "tensor") + " but no state_dict";
  const std::string tree = "`mlc load --tree` shows where they are";
  if (is_optimizer(checkpoint.graph, checkpoint.root)) {
    return usage_error(held + ": it is the state of an optimizer", tree).in_file(checkpoint.path);
  }
  const bool quantised = std::ranges::any_of(checkpoint.tensors, [](const Tensor& one) {
    return info(one.dtype).kind == DTypeClass::quantized;
  });
  if (quantised && checkpoint.format == Format::torchscript) {
    return conflict(held + ": PyTorch has quantised it, and packed its weights in objects",
                    "go on from the model that it was made of")
        .in_file(checkpoint.path);
  }
  const std::string place = first_mapping_of_tensors(checkpoint);
  if (!place.empty()) {
    return usage_error(held + " where one is looked for",
                       "--key takes any mapping of tensors: --key " + shell_word(place))
        .in_file(checkpoint.path);
  }
  const bool bare = are_bare_tensors(checkpoint, "");
  const std::string names = "`mlc save -o named.safetensors` gives them names";
  return usage_error(held + ": none of them has a text as its key", bare ? names : tree)
      .in_file(checkpoint.path);
}

/// Who names a mapping of tensors means it, wherever it stands.
Status obey(Input& input, const std::string& key) {
  const std::vector<StateDict>& all = input.state_dicts;
  if (key.empty() || state_dict_at(all, key) != nullptr || is_ambiguous(all, key)) return {};
  auto added = add_state_dict_at(*input.checkpoint, input.state_dicts, key);
  if (!added.ok()) return std::move(added).error().in_file(input.checkpoint->path);
  return {};
}

constexpr const char* kStripHint = "; `mlc strip-module-prefix";

/// Of HINTS, which are those of KEYS, what strip-module-prefix takes off the front of every key.
std::string_view leading_wrapper(const std::vector<KeyInfo>& keys,
                                 const std::vector<PrefixHint>& hints) {
  for (const PrefixHint& hint : hints) {
    if (!hint.stripped || hint.total == 0) continue;
    const auto leads = [&hint](const KeyInfo& key) { return key.name.starts_with(hint.prefix); };
    if (static_cast<uint64_t>(std::ranges::count_if(keys, leads)) == hint.total) return hint.prefix;
  }
  return {};
}

/// The same with what is behind that, and so on: "_orig_mod.module.".
std::string wrappers_around(const std::vector<KeyInfo>& keys,
                            const std::vector<PrefixHint>& hints) {
  std::string_view prefix = leading_wrapper(keys, hints);
  std::string chain(prefix);
  if (prefix.empty()) return chain;
  std::vector<KeyInfo> rest = keys;
  while (!prefix.empty()) {
    for (KeyInfo& key : rest) {
      if (key.name.starts_with(prefix)) key.name.remove_prefix(prefix.size());
    }
    prefix = leading_wrapper(rest, detect_prefixes(rest));
    chain += prefix;
  }
  return chain;
}

}  // namespace

Result<Input> open_input(const std::string& path, Reporter& reporter) {
  Input input;
  MLC_TRY(input.checkpoint, open_checkpoint(path));
  for (const std::string& warning : input.checkpoint->warnings) {
    reporter.warn(printable(path) + ": " + warning);
  }
  input.shard = find_shard_place(path);
  if (input.shard) reporter.warn(describe_shard(path, *input.shard));
  auto found = find_state_dicts(*input.checkpoint);
  if (!found.ok()) return std::move(found).error().in_file(path);
  input.state_dicts = std::move(found).value();
  return input;
}

Result<StateDict*> choose_state_dict(Input& input, const std::string& key) {
  if (key.empty() && input.state_dicts.empty()) MLC_CHECK(refuse_none(*input.checkpoint));
  MLC_CHECK(obey(input, key));
  auto chosen = select_state_dict(input.state_dicts, key, "--key");
  if (!chosen.ok()) {
    Error error = std::move(chosen).error();
    const bool ambiguous = !key.empty() && is_ambiguous(input.state_dicts, key);
    const std::string found = ambiguous ? "" : what_stands_at(*input.checkpoint, key);
    if (!found.empty()) error = usage_error(found, error.hint());
    return std::move(error).in_file(input.checkpoint->path);
  }
  return &input.state_dicts[static_cast<size_t>(*chosen - input.state_dicts.data())];
}

Result<Shown> choose_shown(Input& input, const std::string& key) {
  Shown shown;
  const bool elsewhere = !key.empty() && state_dict_at(input.state_dicts, key) == nullptr &&
                         !is_ambiguous(input.state_dicts, key);
  const NodeId node = elsewhere ? node_at(*input.checkpoint, key) : kNoNode;
  if (node != kNoNode) {
    shown.tensors = all_tensors(*input.checkpoint, node);
    const size_t entries = read_state_dict(*input.checkpoint, node, "").entries.size();
    const bool is_state_dict = entries > 0 && entries == shown.tensors.size();
    if (!shown.tensors.empty() && !is_state_dict) return shown;
  }
  if (elsewhere && key == ".") return shown;
  MLC_TRY(shown.state_dict, choose_state_dict(input, key));
  shown.tensors = named_tensors(*shown.state_dict);
  return shown;
}

std::vector<NamedTensor> tensors_of_file(const Input& input) {
  std::vector<NamedTensor> all = all_tensors(*input.checkpoint, input.checkpoint->root);
  for (const StateDict& one : input.state_dicts) {
    if (one.module == kNoNode || one.is_part) continue;
    const std::string inside = one.path.empty() ? "" : one.printed + ".";
    const auto is_inside = [&](const NamedTensor& named) { return named.path.starts_with(inside); };
    std::set<TensorIdentity> known;
    std::vector<NamedTensor> own = named_tensors(one);
    for (NamedTensor& named : own) {
      named.path = join_path(one.path, named.path);
      known.insert(identity_of(*input.checkpoint, input.checkpoint->tensors[named.tensor]));
    }
    const auto first = std::ranges::find_if(all, is_inside) - all.begin();
    std::erase_if(all, [&](const NamedTensor& named) {
      return is_inside(named) && known.contains(identity_of(
                                     *input.checkpoint, input.checkpoint->tensors[named.tensor]));
    });
    all.insert(all.begin() + std::min<std::ptrdiff_t>(first, std::ssize(all)),
               std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  }
  return all;
}

std::vector<NamedTensor> tensors_of_all(const Input& input, std::string_view prefix) {
  std::vector<NamedTensor> out;
  for (const StateDict& one : input.state_dicts) {
    if (one.is_part) continue;
    for (NamedTensor& named : named_tensors(one)) {
      named.path = join_path(one.path, without_prefix(named.path, prefix));
      out.push_back(std::move(named));
    }
  }
  return out;
}

Result<StateDict*> choose_other_state_dict(Input& other, const std::string& own_key,
                                           const std::string& key, std::string_view option) {
  MLC_CHECK(obey(other, key));
  const bool has_own = !own_key.empty() && state_dict_at(other.state_dicts, own_key) != nullptr;
  auto chosen =
      select_state_dict(other.state_dicts, key.empty() && has_own ? own_key : key, option);
  if (!chosen.ok()) return std::move(chosen).error().in_file(other.checkpoint->path);
  return &other.state_dicts[static_cast<size_t>(*chosen - other.state_dicts.data())];
}

namespace {

/// The keys that lack PREFIX where most have it; empty where so many lack it that it is hardly that
/// of a wrapper.
std::string keys_without(const std::vector<KeyInfo>& keys, const std::string& prefix,
                         const PrefixHint& hint) {
  if (hint.count * 2 < hint.total) return {};
  const std::vector<std::string> kept = kept_by_wrappers(keys);
  std::vector<std::string> odd;
  for (const KeyInfo& key : keys) {
    if (key.name.starts_with(prefix) || std::ranges::find(kept, key.name) != kept.end()) continue;
    odd.push_back(sentence_key(key.name));
  }
  return join_list(odd, 3);
}

/// The hints of strip-module-prefix without options for a state_dict called OF (" of model"), at
/// the place that the option KEY names (" --key model").
std::vector<std::string> wrapper_hints(const std::vector<KeyInfo>& keys,
                                       const std::vector<PrefixHint>& found, const std::string& of,
                                       const std::string& key) {
  std::vector<std::string> hints;
  const std::string wrappers = wrappers_around(keys, found);
  const std::vector<std::string> kept = sentence_keys(kept_by_wrappers(keys));
  const std::string every =
      "every key " + of + (kept.empty() ? "" : "but " + join_list(kept) + " ");
  const std::string removes = kStripHint + key + "` removes it";
  if (!wrappers.empty()) hints.push_back(every + "starts with " + wrappers + removes);
  for (const PrefixHint& hint : found) {
    const std::string prefix(hint.prefix);
    if (!hint.stripped || wrappers.find(prefix) != wrappers.npos) continue;
    if (hint.count < hint.total && !hint.inside) {
      const std::string odd = keys_without(keys, prefix, hint);
      if (odd.empty()) continue;
      hints.push_back(format_count(hint.count) + " of " +
                      plural(hint.total, "key " + of, "keys " + of) + "start with " + prefix +
                      ", not " + odd + kStripHint + key + " --partial` removes it");
    } else if (hint.count == hint.total) {
      hints.push_back(every + "has " + prefix + " in it" + removes);
    } else if (hint.inside && plan_strip_prefix(keys).ok()) {
      hints.push_back(plural(hint.count, "key " + of + "has ", "keys " + of + "have ") + prefix +
                      " in " + (hint.count == 1 ? "it" : "them") + removes);
    }
  }
  return hints;
}

constexpr std::string_view kWrapper = "module.";

/// PREFIX, which all KEYS but those that wrappers keep begin with, and the DDP within the module of
/// Lightning behind it: model.module.
std::string with_wrapper_behind(std::string_view prefix, const std::vector<KeyInfo>& keys) {
  const std::string both = std::string(prefix) + std::string(kWrapper);
  const std::vector<std::string> kept = kept_by_wrappers(keys);
  const bool every = std::ranges::all_of(keys, [&](const KeyInfo& key) {
    return key.name.starts_with(both) || std::ranges::find(kept, key.name) != kept.end();
  });
  return every ? both : std::string(prefix);
}

/// What is to be said of a prefix that is no wrapper's: it may be an attribute of the model.
std::string removes_prefix(const std::string& prefix, const std::string& key) {
  const std::string removes = kStripHint + key + " --prefix " + prefix + "` removes it";
  return prefix.ends_with("." + std::string(kWrapper))
             ? removes + ", `--anywhere` only " + std::string(kWrapper)
             : removes;
}

/// Of `self.features = nn.DataParallel(...)`, which no prefix tells of.
std::string wrapped_parts_hint(const std::vector<KeyInfo>& keys, const std::string& key) {
  std::vector<std::string_view> names;
  names.reserve(keys.size());
  for (const KeyInfo& one : keys) names.push_back(one.name);
  const WrappedParts parts = wrapped_parts(names);
  PrefixOptions anywhere;
  anywhere.anywhere = true;
  if (parts.keys == 0 || !plan_strip_prefix(keys, anywhere).ok()) return {};
  return parts.text() + kStripHint + key + " --anywhere` removes it";
}

}  // namespace

std::vector<std::string> prefix_hints(const Checkpoint& checkpoint, const StateDict& state_dict,
                                      const std::string& key) {
  const std::vector<KeyInfo> keys = key_infos(checkpoint, state_dict);
  const std::vector<PrefixHint> found = detect_prefixes(keys);
  std::vector<std::string> hints = wrapper_hints(keys, found, "", key);
  const std::vector<std::string> kept = sentence_keys(kept_by_wrappers(keys));
  for (const PrefixHint& hint : found) {
    if (hint.stripped || hint.count != hint.total) continue;
    const std::string prefix = with_wrapper_behind(hint.prefix, keys);
    hints.push_back("every key " + (kept.empty() ? "" : "but " + join_list(kept) + " ") +
                    "starts with " + prefix + removes_prefix(prefix, key));
  }
  if (std::string parts = hints.empty() ? wrapped_parts_hint(keys, key) : ""; !parts.empty()) {
    hints.push_back(std::move(parts));
  }
  return hints;
}

std::vector<std::string> prefix_hints_of_all(const Input& input) {
  std::set<std::string> wrappers;
  std::vector<std::string> hints;
  size_t count = 0;
  for (const StateDict& one : input.state_dicts) {
    if (one.is_part) continue;
    ++count;
    const std::vector<KeyInfo> keys = key_infos(*input.checkpoint, one);
    const std::vector<PrefixHint> found = detect_prefixes(keys);
    wrappers.insert(wrappers_around(keys, found));
    const std::string place = one.path.empty() ? "." : one.path;
    const std::string of = "of " + sentence_key(place) + " ";
    for (std::string& hint : wrapper_hints(keys, found, of, " --key " + shell_word(place))) {
      hints.push_back(std::move(hint));
    }
  }
  const bool one_for_all = count > 1 && wrappers.size() == 1 && !wrappers.begin()->empty();
  if (!one_for_all || hints.size() != count) return hints;
  return {"every key of every state_dict starts with " + *wrappers.begin() + kStripHint +
          " --key '*'` removes it"};
}

std::string shown_key(const std::string& key) {
  return key.empty() ? "\"\"" : key;
}

std::vector<std::string> merge_alike(const std::vector<std::string>& texts) {
  std::vector<std::string> out;
  std::vector<size_t> counts;
  std::unordered_map<std::string_view, size_t> places;
  for (const std::string& text : texts) {
    const auto [at, is_new] = places.try_emplace(text, out.size());
    if (is_new) {
      out.push_back(text);
      counts.push_back(0);
    }
    ++counts[at->second];
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (counts[i] > 1) out[i] += " (" + plural(counts[i], "key") + ")";
  }
  return out;
}

std::vector<std::string> describe_values(const Checkpoint& checkpoint,
                                         const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  constexpr size_t kShown = 10;  // by join_list(); the others are only counted
  for (const std::string& path : paths) {
    const NodeId node = out.size() < kShown ? node_at(checkpoint, path) : kNoNode;
    if (node != kNoNode && checkpoint.tensor_at(node) != kNoIndex) {
      out.push_back(sentence_key(path) + " (1 tensor)");
      continue;
    }
    const std::string array =
        node != kNoNode ? numpy_array_text(checkpoint.graph, node) : std::string();
    if (!array.empty()) {
      out.push_back(sentence_key(path) + " (" + array + ")");
      continue;
    }
    const uint64_t tensors = node != kNoNode ? count_names(checkpoint, node) : 0;
    const bool mapping = node != kNoNode && checkpoint.graph.entries(node) != nullptr;
    const uint64_t arrays =
        mapping && tensors == 0 ? count_numpy_arrays(checkpoint.graph, node) : 0;
    const std::string inside = tensors > 0  ? plural(tensors, "tensor") + " in "
                               : arrays > 0 ? plural(arrays, "NumPy array") + " in "
                                            : "";
    out.push_back(inside + sentence_key(path));
  }
  return merge_alike(out);
}

Status replace_modules(Input& input, Reporter& reporter) {
  for (const StateDict& one : input.state_dicts) {
    if (one.packed.empty()) continue;
    return unsupported("the pickled module" +
                           (one.path.empty() ? "" : " at " + mlc::quoted(one.path)) +
                           " packs weights in a way that only its classes know: " +
                           join_list(sentence_keys(one.packed)),
                       "in Python, torch.save(model.state_dict(), ...) makes a file that mlc edits")
        .in_file(input.checkpoint->path);
  }
  std::vector<std::string> lost;
  for (const StateDict& one : input.state_dicts) {
    for (std::string& path : module_tensors_beside(*input.checkpoint, one)) {
      lost.push_back(sentence_key(path));
    }
  }
  for (const std::string& path : materialize_modules(*input.checkpoint, input.state_dicts)) {
    reporter.warn(printable(input.checkpoint->path) + ": the pickled module at " +
                  mlc::quoted(path) + " is written as its state_dict; its class is not kept");
  }
  if (!lost.empty()) {
    reporter.warn(printable(input.checkpoint->path) +
                  ": not kept, being tensors of pickled modules that are in no state_dict: " +
                  join_list(merge_alike(lost)));
  }
  return {};
}

Status ready_for_weights(Input& input, StateDict& state_dict, bool weights_only,
                         const std::string& output, Reporter& reporter) {
  const Format format = input.checkpoint->format;
  if ((format == Format::torchscript || format == Format::pt2) && !weights_only) {
    warn_of_format(*input.checkpoint, output, reporter);
  }
  MLC_CHECK(replace_modules(input, reporter));
  if (weights_only) keep_only(*input.checkpoint, state_dict);
  warn_of_index_metadata(*input.checkpoint, reporter);
  return {};
}

void warn_of_format(const Checkpoint& checkpoint, const std::string& output, Reporter& reporter) {
  const std::vector<std::string> extra = printable_all(extra_file_names(checkpoint));
  switch (checkpoint.format) {
    case Format::torchscript:
    case Format::pt2:
    case Format::npz:
    case Format::npy:
      reporter.warn((output.empty() ? "the output" : printable(output)) +
                    " holds the tensors as a state_dict; it is no " +
                    std::string(format_name(checkpoint.format)) + " file any more" +
                    (extra.empty() ? "" : "; left out: the extra files " + join_list(extra, 3)));
      break;
    default:
      break;
  }
}

uint64_t count_deflated(const Checkpoint& checkpoint) {
  if (checkpoint.format != Format::torch_zip) return 0;
  const auto count = std::ranges::count_if(checkpoint.storages, [&](const Storage& storage) {
    return storage.archive != kNoIndex &&
           !checkpoint.archives[storage.archive].entries()[storage.entry].is_stored();
  });
  return static_cast<uint64_t>(count);
}

void warn_of_deflated(const Checkpoint& checkpoint, Reporter& reporter) {
  const uint64_t count = count_deflated(checkpoint);
  if (count == 0) return;
  reporter.warn(plural(count, "deflated storage is", "deflated storages are") +
                " written plain, as torch.load(mmap=True) needs them: the output is larger");
}

void warn_of_stale_optimizers(const std::vector<std::string>& paths, Reporter& reporter) {
  if (paths.empty()) return;
  std::vector<std::string> shown;
  for (const std::string& path : paths) shown.push_back(path.empty() ? "." : printable(path));
  reporter.warn("the optimizer state at " + join_list(shown) +
                " is kept but no longer fits the tensors; `mlc save --weights-only` leaves it out");
}

void warn_of_optimizers(const FollowedOptimizers& followed, Reporter& reporter) {
  warn_of_stale_optimizers(followed.stale, reporter);
  for (const UnclearOptimizer& one : followed.unclear) {
    std::vector<std::string> owners;
    for (const std::string& path : one.owners) owners.push_back(path.empty() ? "." : path);
    const bool several = owners.size() > 1;
    reporter.warn("the optimizer state at " + (one.path.empty() ? "." : printable(one.path)) +
                  " is left as it is, for nothing tells " +
                  (several ? "to which of " : "whether it belongs to ") +
                  join_list(printable_all(owners)) + (several ? " it belongs" : ""));
  }
}

std::string tied_text(const SaveReport& report) {
  if (report.aliases.empty()) return {};
  constexpr size_t kShown = 3;
  std::vector<std::string> names;
  for (const auto& [dropped, kept] : report.aliases) {
    names.push_back(sentence_key(dropped) + " is " + sentence_key(kept));
  }
  return ", " + plural(names.size(), "tied name") + " recorded (" + join_list(names, kShown) + ")";
}

void warn_of_overlaps(const SaveReport& report, Reporter& reporter) {
  if (report.overlaps.empty()) return;
  std::vector<std::string> groups;
  for (const auto& group : report.overlaps) groups.push_back(join_list(sentence_keys(group), 3));
  constexpr size_t kShown = 3;
  const size_t more = groups.size() - std::min(groups.size(), kShown);
  groups.resize(groups.size() - more);
  reporter.warn(
      "views that overlap in one storage are written each in full and share nothing any more: " +
      fmt::format("{}", fmt::join(groups, "; ")) +
      (more > 0 ? "; and " + plural(more, "more group", "more groups") : ""));
}

std::string companions_text(const Checkpoint& checkpoint, const std::string& folder) {
  static const re2::RE2 kCompanion(
      R"((config|generation_config|preprocessor_config|processor_config|tokenizer.*|vocab|)"
      R"(added_tokens|special_tokens_map|chat_template|merges|spiece|sentencepiece.*)\.(json|txt|model|jinja))");
  const std::filesystem::path home = std::filesystem::path(checkpoint.path).parent_path();
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(home.empty() ? "." : home.string(), error)) {
    const std::string name = entry.path().filename().string();
    if (!re2::RE2::FullMatch(name, kCompanion)) continue;
    if (!std::filesystem::exists(folder + "/" + name, error)) names.push_back(printable(name));
  }
  if (names.empty()) return {};
  std::sort(names.begin(), names.end());
  return "; not copied from beside the input: " + join_list(names);
}

Result<std::optional<Metadata>> read_metadata(const Checkpoint& checkpoint) {
  if (!checkpoint.metadata_yaml) return std::optional<Metadata>();
  auto parsed = Metadata::parse(*checkpoint.metadata_yaml, checkpoint.path, ErrorKind::corrupt);
  if (parsed.ok()) return std::optional(std::move(parsed).value());
  const Error& error = parsed.error();
  const std::string removes = "`mlc metadata " + shell_word(printable(checkpoint.path)) +
                              " --clear --in-place` takes it out of the file";
  Error told(error.kind(), "the metadata in it: " + error.text(),
             error.hint().empty() ? removes : error.hint() + "; " + removes);
  return std::move(told).in_file(checkpoint.path);
}

}  // namespace mlc::cli
