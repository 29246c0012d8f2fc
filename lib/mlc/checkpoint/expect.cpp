#include "mlc/checkpoint/expect.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/source_text.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/stored_parts.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

constexpr std::string_view kDense = "dense";
constexpr std::string_view kMeta = "meta";

using Index = std::unordered_map<std::string_view, const ExpectedTensor*>;

Index index_of(const std::vector<ExpectedTensor>& tensors) {
  Index index;
  index.reserve(tensors.size());
  for (const ExpectedTensor& tensor : tensors) index.emplace(tensor.name, &tensor);
  return index;
}

/// A prefix and how many keys of the one list are keys of the other behind it.
struct Behind {
  std::string prefix;
  uint64_t count = 0;
};

/// The prefix that makes most keys of LONGER from some of SHORTER. Looks at three keys of LONGER
/// for what it may be: one of them may be the odd one.
Behind best_prefix(const std::vector<std::string>& shorter,
                   const std::vector<std::string>& longer) {
  constexpr size_t kLongestKey = 4096;  // each suffix of it is looked up
  constexpr size_t kMostTried = 32;
  Behind best;
  if (shorter.empty() || longer.empty()) return best;
  const std::unordered_set<std::string_view> known(shorter.begin(), shorter.end());
  std::set<std::string_view> tried;
  for (const size_t probe : {size_t{0}, longer.size() / 2, longer.size() - 1}) {
    const std::string_view key = longer[probe];
    if (key.size() > kLongestKey) continue;
    for (size_t at = 1; at < key.size() && tried.size() < kMostTried; ++at) {
      const std::string_view prefix = key.substr(0, at);
      if (!known.contains(key.substr(at)) || !tried.insert(prefix).second) continue;
      const auto count =
          static_cast<uint64_t>(std::ranges::count_if(longer, [&](std::string_view one) {
            return one.starts_with(prefix) && known.contains(one.substr(at));
          }));
      if (count > best.count) best = {std::string(prefix), count};
    }
  }
  return best;
}

/// How many of the missing keys are unexpected ones behind PREFIX, or without it where they LACK
/// it.
uint64_t missing_behind(const ExpectReport& report, const std::string& prefix, bool lack) {
  const std::unordered_set<std::string_view> there(report.unexpected.begin(),
                                                   report.unexpected.end());
  return static_cast<uint64_t>(std::ranges::count_if(report.missing, [&](const std::string& key) {
    if (!lack) return there.contains(prefix + key);
    return key.starts_with(prefix) && there.contains(std::string_view(key).substr(prefix.size()));
  }));
}

void find_prefixes(ExpectReport& report) {
  if (report.missing.empty()) return;
  // What may be missing may be there behind the prefix all the same.
  std::vector<std::string> absent = report.missing;
  absent.insert(absent.end(), report.filled.begin(), report.filled.end());
  absent.insert(absent.end(), report.ignored.begin(), report.ignored.end());
  const auto look = [&report](const std::vector<std::string>& shorter,
                              const std::vector<std::string>& longer, std::string& all) {
    const Behind found = best_prefix(shorter, longer);
    const bool lack = &all == &report.lacking_prefix;
    const uint64_t missing = missing_behind(report, found.prefix, lack);
    if (found.count == report.unexpected.size() && missing == report.missing.size()) {
      all = found.prefix;
      return;
    }
    const uint64_t count = lack ? missing : found.count;
    const uint64_t larger = std::max(report.missing.size(), report.unexpected.size());
    // Beside what is missing there may be more: a model and its moving average.
    const bool explains_missing = !lack && missing == report.missing.size();
    const bool explains_most = explains_missing || count * 4 >= larger * 3;
    if (count < 3 || !explains_most || count <= report.prefixed) return;
    report.most_prefix = found.prefix;
    report.prefixed = count;
    report.most_lack_it = lack;
  };
  look(absent, report.unexpected, report.extra_prefix);
  look(report.unexpected, absent, report.lacking_prefix);
}

/// The hint where a prefix explains many keys, but not all of the checkpoint.
std::string hint_for_many(const ExpectReport& report) {
  const bool lack_it = !report.lacking_prefix.empty() || report.most_lack_it;
  const std::string& prefix = !report.most_prefix.empty() ? report.most_prefix
                              : lack_it                   ? report.lacking_prefix
                                                          : report.extra_prefix;
  const size_t all = lack_it ? report.missing.size() : report.unexpected.size();
  const uint64_t count = report.most_prefix.empty() ? all : report.prefixed;
  const std::string keys = (count == all ? "all" : format_count(count) + " of") + " " +
                           plural(all, lack_it ? "missing key" : "unexpected key") +
                           (count == 1 ? " is" : " are");
  if (lack_it) return keys + " there without the prefix " + mlc::quoted(prefix);
  return keys + " expected without the prefix " + mlc::quoted(prefix) +
         ": `mlc strip-module-prefix --partial --prefix " + shell_word(prefix) + "` removes it";
}

/// FOUND: how many keys the checkpoint has.
std::string hint_for(const ExpectReport& report, size_t found) {
  const bool every = report.unexpected.size() == found;
  if (const std::string& extra = report.extra_prefix; !extra.empty() && every) {
    return "every key of the checkpoint has the prefix " + mlc::quoted(extra) +
           " more: `mlc strip-module-prefix --prefix " + shell_word(extra) + "`";
  }
  if (const std::string& lacking = report.lacking_prefix; !lacking.empty() && every) {
    return "every key of the checkpoint lacks the prefix " + mlc::quoted(lacking) +
           ": `mlc strip-module-prefix --add " + shell_word(lacking) + "`";
  }
  if (!report.extra_prefix.empty() || !report.lacking_prefix.empty() ||
      !report.most_prefix.empty()) {
    return hint_for_many(report);
  }
  if (report.missing.empty() || report.unexpected.empty()) return {};
  if (const auto near = nearest(report.missing[0], report.unexpected)) {
    return "nearest to " + mlc::quoted(report.missing[0]) +
           " in the checkpoint: " + mlc::quoted(*near);
  }
  return {};
}

std::string torch_size(const std::vector<int64_t>& shape) {
  return "torch.Size(" + format_shape(shape) + ")";
}

std::string key_list(const std::vector<std::string>& keys) {
  std::vector<std::string> shown;
  for (const std::string& key : keys) shown.push_back(mlc::quoted(key));
  return join_list(shown);
}

}  // namespace

bool ExpectReport::is_there_prefixed(const std::string& key) const {
  const auto found = [this](std::string_view name) {
    return std::ranges::find(unexpected, name) != unexpected.end();
  };
  const std::string& extra = extra_prefix.empty() && !most_lack_it ? most_prefix : extra_prefix;
  if (!extra.empty() && found(extra + key)) return true;
  const std::string& lacking =
      lacking_prefix.empty() && most_lack_it ? most_prefix : lacking_prefix;
  return !lacking.empty() && key.starts_with(lacking) && found(key.substr(lacking.size()));
}

std::string ExpectReport::text() const {
  std::string out;
  if (!missing.empty()) out += "Missing key(s) in state_dict: " + key_list(missing) + ".\n";
  if (!unexpected.empty())
    out += "Unexpected key(s) in state_dict: " + key_list(unexpected) + ".\n";
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < no_tensors.size() && i < kShown; ++i) {
    out += "While copying the parameter named " + mlc::quoted(no_tensors[i]) +
           ", expected a tensor from checkpoint but received another value.\n";
  }
  if (no_tensors.size() > kShown) {
    out += "and " + std::to_string(no_tensors.size() - kShown) + " more that are no tensors.\n";
  }
  for (size_t i = 0; i < mismatched.size() && i < kShown; ++i) {
    out += "size mismatch for " + sentence_key(mismatched[i].name) +
           ": copying a param with shape " + torch_size(mismatched[i].found) +
           " from checkpoint, the shape in current model is " + torch_size(mismatched[i].expected) +
           ".\n";
  }
  if (mismatched.size() > kShown) {
    out += "and " + std::to_string(mismatched.size() - kShown) + " more of another size.\n";
  }
  for (size_t i = 0; i < other_forms.size() && i < kShown; ++i) {
    const FormMismatch& one = other_forms[i];
    out += "While copying the parameter named " + mlc::quoted(one.name) +
           ": the checkpoint has a " + one.found + " tensor, the model a " + one.expected +
           " one.\n";
  }
  if (other_forms.size() > kShown) {
    out += "and " + std::to_string(other_forms.size() - kShown) + " more of another form.\n";
  }
  return out;
}

namespace {

/// Whether load_state_dict adds KEY itself: torch/nn/modules/batchnorm.py, _load_from_state_dict.
bool is_filled(std::string_view key, const Index& expected, const ExpectOptions& options) {
  constexpr std::string_view kCounter = "num_batches_tracked";
  constexpr int64_t kCounted = 2;  // the version since which modules have one
  if (!options.module_version || !key.ends_with(kCounter)) return false;
  const std::string_view prefix = key.substr(0, key.size() - kCounter.size());
  if (!prefix.empty() && prefix.back() != '.') return false;
  if (!expected.contains(std::string(prefix) + "running_mean")) return false;
  const std::string_view module = prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1);
  return options.module_version(module).value_or(0) < kCounted;
}

/// Scalars were tensors of one element before PyTorch 0.4: load_state_dict takes those too.
bool shapes_fit(const ExpectedTensor& found, const ExpectedTensor& wanted,
                const ExpectOptions& options) {
  if (!wanted.has_shape || !found.has_shape || found.shape == wanted.shape) return true;
  return options.module_version && wanted.shape.empty() && found.shape == std::vector<int64_t>{1};
}

/// Whether param.copy_(found) refuses: Tensor.copy_ makes quantized values of floats, but neither
/// dense tensors of sparse and quantized ones nor sparse ones of others. Into a model without
/// values it copies nothing, but looks whether FOUND is sparse by rows or columns.
bool forms_differ(const ExpectedTensor& found, const ExpectedTensor& wanted) {
  if (found.form.empty() || wanted.form.empty() || found.form == wanted.form) return false;
  if (wanted.form == kMeta) {
    return found.form.starts_with("sparse_") && found.form != "sparse_coo";
  }
  return !(found.form == kDense && wanted.form.starts_with("q"));
}

/// The key behind which the tensor of a wanted one is made.
const std::string& origin_of(const ExpectedTensor& wanted) {
  return wanted.tied_to.empty() ? wanted.name : wanted.tied_to;
}

/// By the origin of each tensor the last key of it that FOUND has: load_state_dict copies one after
/// the other.
std::unordered_map<std::string_view, std::string_view> found_origins(
    const std::vector<ExpectedTensor>& expected, const Index& found) {
  std::unordered_map<std::string_view, std::string_view> out;
  for (const ExpectedTensor& wanted : expected) {
    if (found.contains(wanted.name)) out[origin_of(wanted)] = wanted.name;
  }
  return out;
}

/// The hint of a checkpoint whose keys are right.
std::string hint_on_forms(const ExpectReport& report) {
  if (report.other_forms.empty() || !report.hint.empty()) return report.hint;
  const FormMismatch& first = report.other_forms[0];
  if (first.found == kMeta) return "a meta tensor has a shape and no values: save what has them";
  if (first.expected != kDense) return {};
  return std::string("in Python `tensor.") +
         (first.found.starts_with("sparse") ? "to_dense" : "dequantize") +
         "()` makes a dense tensor of it";
}

}  // namespace

namespace {

/// load_state_dict takes whatever was packed, and the module fails when it is called.
void compare_parts(const ExpectedTensor& found, const ExpectedTensor& wanted,
                   ExpectReport& report) {
  for (const ExpectedPart& part : wanted.parts) {
    const auto same = std::ranges::find(found.parts, part.name, &ExpectedPart::name);
    if (same == found.parts.end() || same->shape == part.shape) continue;
    report.mismatched.push_back({part.name, same->shape, part.shape});
  }
}

/// The keys of FOUND as the pre-hook of torch.nn.utils.parametrizations.weight_norm renames those
/// of the weight_norm before it, `fc.weight_g` and `fc.weight_v`. Nothing where it has none to
/// rename.
std::optional<std::vector<ExpectedTensor>> with_new_weight_norms(
    const std::vector<ExpectedTensor>& found, const Index& expected) {
  constexpr std::string_view kFolder = "parametrizations.";
  constexpr std::string_view kFirst = ".original0";
  std::unordered_map<std::string, std::string> names;
  std::optional<Index> known;
  for (const auto& [first, tensor] : expected) {
    if (!first.ends_with(kFirst)) continue;
    const size_t at = first.rfind(kFolder);
    if (at == first.npos || (at > 0 && first[at - 1] != '.')) continue;
    const size_t begin = at + kFolder.size();
    const std::string stem = std::string(first.substr(0, at)) +
                             std::string(first.substr(begin, first.size() - kFirst.size() - begin));
    const std::string second = std::string(first.substr(0, first.size() - 1)) + "1";
    if (!known) known = index_of(found);
    if (!expected.contains(second) || !known->contains(stem + "_g")) continue;
    if (!known->contains(stem + "_v")) continue;
    names.emplace(stem + "_g", first);
    names.emplace(stem + "_v", second);
  }
  if (names.empty()) return std::nullopt;
  std::unordered_set<std::string_view> made;
  for (const auto& [old, name] : names) made.insert(name);
  std::vector<ExpectedTensor> out;
  for (const ExpectedTensor& one : found) {
    const auto renamed = names.find(one.name);
    if (made.contains(one.name)) continue;  // the hook replaces it
    out.push_back(one);
    if (renamed != names.end()) out.back().name = renamed->second;
  }
  return out;
}

ExpectReport compare_keys(const std::vector<ExpectedTensor>& found,
                          const std::vector<ExpectedTensor>& expected, const Index& expected_index,
                          const ExpectOptions& options) {
  ExpectReport report;
  const Index found_index = index_of(found);
  const auto origins = found_origins(expected, found_index);
  for (const ExpectedTensor& wanted : expected) {
    const auto it = found_index.find(wanted.name);
    const auto origin = it == found_index.end() ? origins.find(origin_of(wanted)) : origins.end();
    if (origin != origins.end()) {
      report.tied.push_back({wanted.name, std::string(origin->second)});
    } else if (it == found_index.end()) {
      const bool ignored = options.ignore_missing && options.ignore_missing(wanted.name);
      const bool filled = !ignored && is_filled(wanted.name, expected_index, options);
      (ignored ? report.ignored : filled ? report.filled : report.missing).push_back(wanted.name);
    } else if (wanted.is_tensor && !it->second->is_tensor && !module_of_extra_state(wanted.name)) {
      report.no_tensors.push_back(wanted.name);
    } else if (!shapes_fit(*it->second, wanted, options)) {
      report.mismatched.push_back({wanted.name, it->second->shape, wanted.shape});
    } else if (forms_differ(*it->second, wanted)) {
      report.other_forms.push_back({wanted.name, it->second->form, wanted.form});
    } else {
      compare_parts(*it->second, wanted, report);
    }
  }
  for (const ExpectedTensor& tensor : found) {
    if (expected_index.contains(tensor.name)) continue;
    const bool ignored = options.ignore_unexpected && options.ignore_unexpected(tensor.name);
    (ignored ? report.ignored_unexpected : report.unexpected).push_back(tensor.name);
  }
  find_prefixes(report);
  report.hint = hint_for(report, found.size());
  report.hint = hint_on_forms(report);
  const bool keys_fit = !options.strict || (report.missing.empty() && report.unexpected.empty());
  report.satisfied = keys_fit && report.no_tensors.empty() && report.other_forms.empty() &&
                     (options.ignore_shapes || report.mismatched.empty());
  return report;
}

}  // namespace

ExpectReport check_expected(const std::vector<ExpectedTensor>& found,
                            const std::vector<ExpectedTensor>& expected,
                            const ExpectOptions& options) {
  const Index index = index_of(expected);
  if (options.module_version) {
    const auto renamed = with_new_weight_norms(found, index);
    if (renamed) return compare_keys(*renamed, expected, index, options);
  }
  return compare_keys(found, expected, index, options);
}

namespace {

std::string form_of(const Checkpoint& checkpoint, const Tensor& tensor) {
  switch (tensor.kind) {
    case TensorKind::dense:
      return std::string(kDense);
    case TensorKind::quantized:
      return std::string(info(tensor.dtype).torch);
    case TensorKind::sparse:
      return tensor.detail == kNoIndex ? "sparse" : checkpoint.details[tensor.detail];
    case TensorKind::meta:
      return std::string(kMeta);
    default:
      return {};
  }
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Checkpoint& checkpoint,
                                             const std::vector<NamedTensor>& tensors) {
  std::vector<ExpectedTensor> out;
  out.reserve(tensors.size());
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    const Dims sizes = checkpoint.sizes(tensor);
    const bool counts = !module_of_extra_state(named.path) && has_shape(checkpoint, tensor);
    out.push_back({named.path, {sizes.begin(), sizes.end()}, counts});
    out.back().form = form_of(checkpoint, tensor);
  }
  return out;
}

namespace {

/// Gives the PARTS that quantised modules pack to the keys in OUT that they lie under.
void place_parts(std::vector<ExpectedPart> parts, std::vector<ExpectedTensor>& out) {
  std::unordered_map<std::string_view, ExpectedTensor*> values;
  for (ExpectedTensor& one : out) {
    if (!one.is_tensor) values.emplace(one.name, &one);
  }
  for (ExpectedPart& part : parts) {
    if (!is_packed_key(part.name)) continue;
    std::string_view key = part.name;
    for (size_t dot = key.rfind('.'); dot != key.npos; dot = key.rfind('.')) {
      key = key.substr(0, dot);
      const auto at = values.find(key);
      if (at == values.end()) continue;
      at->second->parts.push_back(std::move(part));
      break;
    }
  }
}

}  // namespace

std::vector<ExpectedTensor> expected_keys(const Checkpoint& checkpoint,
                                          const StateDict& state_dict) {
  std::vector<ExpectedTensor> out = expected_tensors(checkpoint, named_tensors(state_dict));
  std::vector<ExpectedPart> parts;
  for (const StateDictEntry& other : state_dict.others) {
    out.push_back({std::string(other.key), {}, false, false});
  }
  for (const NamedTensor& named : tensors_in_values(checkpoint, state_dict)) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    const Dims sizes = checkpoint.sizes(tensor);
    if (has_shape(checkpoint, tensor)) parts.push_back({named.path, {sizes.begin(), sizes.end()}});
  }
  place_parts(std::move(parts), out);
  return out;
}

std::optional<int64_t> module_version(const Checkpoint& checkpoint, const StateDict& state_dict,
                                      std::string_view module) {
  const pickle::Graph& graph = checkpoint.graph;
  if (state_dict.metadata == kNoNode) return std::nullopt;
  const NodeId entry = graph.find(state_dict.metadata, module);
  const NodeId version = entry == kNoNode ? kNoNode : graph.find(entry, "version");
  if (version == kNoNode || !graph.is(version, pickle::NodeKind::integer)) return std::nullopt;
  return graph.integer(version);
}

namespace {

/// The tensor inside a value that ROW of a manifest lists; nothing where ROW lacks name or shape.
std::optional<ExpectedPart> part_of(const nlohmann::ordered_json& row) {
  const auto name = row.find("name");
  const auto shape = row.find("shape");
  if (name == row.end() || !name->is_string() || shape == row.end() || !shape->is_array()) {
    return std::nullopt;
  }
  ExpectedPart part{name->get<std::string>(), {}};
  for (const auto& size : *shape) {
    if (!size.is_number_integer()) return std::nullopt;
    part.shape.push_back(size.get<int64_t>());
  }
  return part;
}

/// Where and why TEXT, which begins like an object, is no JSON.
Error syntax_error(std::string_view text) {
  std::string why;
  size_t at = 0;  // of the last byte read
  try {
    [[maybe_unused]] const auto json = nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::ordered_json::parse_error& error) {
    why = error.what();
    at = error.byte > 0 ? error.byte - 1 : 0;
  } catch (const std::exception& error) {
    why = error.what();
  }
  // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error while ..."
  constexpr std::string_view kPlace = "syntax error ";
  if (const size_t reason = why.find(kPlace); reason != why.npos) {
    why.erase(0, reason + kPlace.size());
  }
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return error_at(ErrorKind::usage, "", text, static_cast<size_t>(lines) + 1,
                  before.size() - line_start + 1, "the manifest is no JSON: " + printable(why),
                  "JSON allows no comma behind the last entry, no comments and double quotes only");
}

/// An answer of mlc in JSON that lists no tensors, where a manifest belongs.
Status refuse_other_answers(const nlohmann::ordered_json& json) {
  const auto schema = json.find("schema");
  if (schema == json.end() || !schema->is_string()) return {};
  const auto name = schema->get<std::string>();
  if (!name.starts_with("mlc.")) return {};
  if (name.starts_with("mlc.load/")) {
    return usage_error("manifest: this answer of `mlc load --json` lists no tensors",
                       "--summary left them out; run it without");
  }
  return usage_error(
      "manifest: " + mlc::quoted(name, 60) + " is no list of tensors",
      std::string(name.starts_with("mlc.batch/") ? "that of one file alone, which " : "what ") +
          "`mlc load FILE --json` prints, is one");
}

/// A manifest of a file with several state_dicts, of which none was chosen: its names begin with
/// their paths, which no key of a state_dict does.
Status refuse_several(const nlohmann::ordered_json& json) {
  const auto key = json.find("key");
  const auto all = json.find("state_dicts");
  if (key == json.end() || !key->is_null() || all == json.end() || !all->is_array()) return {};
  std::vector<std::string> paths;
  for (const auto& one : *all) {
    const bool counts = one.is_object() && !one.contains("part") && one.contains("path");
    if (counts && one["path"].is_string()) paths.push_back(one["path"].get<std::string>());
  }
  if (paths.size() < 2) return {};
  const auto file = json.find("file");
  const bool named = file != json.end() && file->is_string();
  return usage_error("manifest: it lists the tensors of " + std::to_string(paths.size()) +
                         " state_dicts: " + join_list(printable_all(paths)),
                     "write it of one: `mlc load " +
                         shell_word(named ? file->get<std::string>() : "FILE") + " --key " +
                         shell_word(paths[0]) + " --json`");
}

}  // namespace

Result<std::vector<ExpectedTensor>> parse_manifest(std::string_view text, ManifestFor use) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded() && looks_like_json_object(text.substr(0, 64))) return syntax_error(text);
  if (json.is_discarded() || !json.is_object()) {
    return usage_error("is neither a checkpoint nor a manifest",
                       "a manifest is what `mlc load --json` prints, or {\"name\": [shape], ...}");
  }
  std::vector<ExpectedTensor> out;
  const auto add = [&out](const std::string& name, const auto& shape) {
    if (shape.is_null()) out.push_back({name, {}, false, false});
    if (!shape.is_array()) return shape.is_null();
    ExpectedTensor tensor{name, {}, !module_of_extra_state(name)};
    for (const auto& size : shape) {
      if (!size.is_number_integer() || size.template get<int64_t>() < 0) return false;
      tensor.shape.push_back(size.template get<int64_t>());
    }
    out.push_back(std::move(tensor));
    return true;
  };
  const bool listed = json.contains("tensors") && json["tensors"].is_array();
  if (!listed) {
    MLC_CHECK(refuse_other_answers(json));
    for (const auto& [name, shape] : json.items()) {
      if (!add(name, shape))
        return usage_error("manifest: the shape of " + mlc::quoted(name) + " is no list of sizes");
    }
    return out;
  }
  if (use == ManifestFor::state_dict) MLC_CHECK(refuse_several(json));
  std::vector<ExpectedPart> parts;
  for (const auto& row : json["tensors"]) {
    if (row.is_object() && row.contains("in_value")) {  // its key is among the others
      if (auto part = part_of(row)) parts.push_back(std::move(*part));
      continue;
    }
    const bool sound = row.is_object() && row.contains("name") && row["name"].is_string() &&
                       row.contains("shape") &&
                       add(row["name"].template get<std::string>(), row["shape"]);
    if (!sound) return usage_error("manifest: a tensor without name and shape");
  }
  if (!json.contains("other_keys") || !json["other_keys"].is_array()) return out;
  for (const auto& key : json["other_keys"]) {
    if (!key.is_string()) return usage_error("manifest: a key in other_keys is no text");
    add(key.template get<std::string>(), nlohmann::ordered_json());
  }
  place_parts(std::move(parts), out);
  return out;
}

}  // namespace mlc
