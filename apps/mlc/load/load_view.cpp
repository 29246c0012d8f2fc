#include "cli/table.h"
#include "files/cast_warnings.h"
#include "files/map_locations.h"
#include "files/metadata_sources.h"
#include "files/unsafe_values.h"
#include "files/unused_patterns.h"
#include "load/load_onnx.h"
#include "load/load_report.h"
#include "load/load_tree.h"
#include "load/stats_view.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/engine/architecture_model.h"
#include "mlc/engine/extra_files.h"
#include "mlc/keys/apply_plan.h"
#include "mlc/keys/prefix.h"
#include "models/is_onnx_model.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <span>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// What --compact-views does for the bytes that no tensor shows: views that overlap take more
/// apart.
std::string compact_text(const Summary& summary) {
  if (summary.droppable_bytes == 0) return "";
  const bool all = summary.droppable_bytes >= summary.wasted_bytes;
  return "; `mlc save --compact-views` drops " +
         (all ? "it" : format_bytes(summary.droppable_bytes) + " of it");
}

std::string join_counts(const std::vector<std::pair<DType, uint64_t>>& rows) {
  std::vector<std::string> parts;
  for (const auto& [dtype, count] : rows) {
    parts.push_back(std::string(info(dtype).brief) + " " + format_count(count));
  }
  return join_list(parts);
}

/// Names within a group are joined by "and" already.
std::string shown_groups(const std::vector<std::string>& groups) {
  constexpr size_t kShown = 3;
  const size_t count = std::min(groups.size(), kShown);
  std::string text = fmt::format("{}", fmt::join(std::span(groups).first(count), "; "));
  if (count < groups.size()) text += "; and " + format_count(groups.size() - count) + " more";
  return text;
}

/// What the author of a safetensors file wrote into its header.
std::vector<std::string> string_metadata_text(const Checkpoint& checkpoint) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : checkpoint.string_metadata) {
    if (key == "format" && value == "pt") continue;  // nearly every file has it
    parts.push_back(printable(key) + " " + mlc::quoted(value));
  }
  return parts;
}

/// What METADATA without a name hold: "architecture and license".
std::string keys_text(const Metadata& metadata) {
  std::vector<std::string> keys;
  if (const auto* entries = metadata.root().as_map()) {
    for (const auto& [key, value] : *entries) {
      if (key != "mlc") keys.push_back(printable(key));
    }
  }
  return keys.empty() ? "without a name" : "without a name; has " + join_list(keys);
}

/// "int8 75 and fp16 1, plain": how many weights have which scheme. Empty where none has.
std::string quantized_text(const Metadata& metadata) {
  const auto record = quantized_record(metadata);
  if (!record.ok() || !*record) return "";
  std::map<std::string, uint64_t> counts;
  for (const QuantizedTensor& one : (*record)->tensors) ++counts[one.scheme.text()];
  std::vector<std::string> parts;
  for (const auto& [scheme, count] : counts) parts.push_back(scheme + " " + format_count(count));
  return join_list(parts) + ", " + std::string(to_string((*record)->format));
}

/// Of which module, and what only its classes could add.
std::string recovered_text(const StateDict& state_dict) {
  if (state_dict.module == kNoNode) return "";
  const std::string packed =
      state_dict.packed.empty()
          ? ""
          : " but for what only its classes know: " + join_list(sentence_keys(state_dict.packed));
  return " (recovered from a pickled module" + packed + ")";
}

}  // namespace

/// With --key what it names; else the only state_dict; else everything.
Status LoadReport::select() {
  if (!options_.key.empty()) {
    MLC_TRY(Shown shown, choose_shown(input_, options_.key));
    state_dict_ = shown.state_dict;
    tensors_ = std::move(shown.tensors);
    if (state_dict_ == nullptr && options_.key != ".") below_ = options_.key;
  } else {
    state_dict_ = only_candidate(input_.state_dicts);
    tensors_ = state_dict_ != nullptr ? named_tensors(*state_dict_) : tensors_of_file(input_);
  }
  if (state_dict_ != nullptr) {
    entries_ = tensors_.size();
    for (NamedTensor& inside : tensors_in_values(*input_.checkpoint, *state_dict_)) {
      tensors_.push_back(std::move(inside));
    }
  }
  MLC_CHECK(filter());
  for (size_t i = std::min(entries_, tensors_.size()); i < tensors_.size(); ++i) {
    paths_in_values_.insert(tensors_[i].path);
  }
  index_alike(tensors_);
  summary_ = summarize(*input_.checkpoint, tensors_);
  count_parameters();
  count_arrays();
  map_devices();
  if (options_.globals) {
    globals_ = pickle::list_globals(input_.checkpoint->graph, input_.checkpoint->root);
  }
  deepspeed_ = deepspeed_parts(*input_.checkpoint);
  find_codes();
  verdict_ = weights_only_verdict(*input_.checkpoint);
  return {};
}

/// Leaves the tensors that --include and --exclude choose.
Status LoadReport::filter() {
  if (!filter_.is_active()) return {};
  std::vector<NamedTensor> kept;
  size_t entries = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!filter_.selects(tensors_[i].path)) continue;
    if (i < entries_) ++entries;
    kept.push_back(std::move(tensors_[i]));
  }
  if (kept.empty() && !tensors_.empty()) {
    std::vector<std::string> names;
    for (const NamedTensor& named : tensors_) names.push_back(named.path);
    const std::string near = near_globs_hint(options_.include, names);
    return usage_error(
               "no key is selected by " + globs_text(options_.include, options_.exclude),
               !near.empty()
                   ? near
                   : "without --include and --exclude `mlc load` lists those to choose from")
        .in_file(task_.input);
  }
  tensors_ = std::move(kept);
  if (entries_ != SIZE_MAX) entries_ = entries;
  return {};
}

/// Beside several state_dicts there are optimizers, in one values of modules: their tensors are
/// listed, but no parameters, unless quantised modules pack them.
void LoadReport::count_parameters() {
  if (state_dict_ != nullptr && entries_ < tensors_.size()) {
    const auto end = tensors_.begin() + static_cast<std::ptrdiff_t>(entries_);
    std::vector<NamedTensor> entries(tensors_.begin(), end);
    std::copy_if(end, tensors_.end(), std::back_inserter(entries),
                 [](const NamedTensor& named) { return is_packed_key(named.path); });
    summary_.parameters = summarize(*input_.checkpoint, entries).parameters;
  }
  if (state_dict_ != nullptr || !below_.empty() || input_.state_dicts.empty()) return;
  std::set<uint32_t> inside;
  for (const StateDict& one : input_.state_dicts) {
    for (const NamedTensor& named : named_tensors(one)) inside.insert(named.tensor);
  }
  std::vector<NamedTensor> shown = tensors_;
  std::erase_if(shown,
                [&inside](const NamedTensor& named) { return !inside.contains(named.tensor); });
  summary_.parameters = summarize(*input_.checkpoint, shown).parameters;
  outside_ = tensors_.size() - shown.size();
}

/// In the state_dict that is shown, else in all of them.
void LoadReport::find_codes() {
  for (const StateDict& one : input_.state_dicts) {
    const bool shown =
        state_dict_ == nullptr ? below_.empty() && !one.is_part : &one == state_dict_;
    if (!shown) continue;
    for (const ScaledCodes& pair : scaled_codes(*input_.checkpoint, one)) {
      if (filter_.selects(one.entries[pair.codes].key)) codes_.push_back(codes_text(one, pair));
    }
  }
}

void LoadReport::map_devices() {
  warn_of_unused_locations(*input_.checkpoint, options_.map_location, task_.reporter);
  std::vector<std::pair<std::string, uint64_t>> mapped;
  for (const auto& [location, count] : summary_.devices) {
    const std::string device = mapped_location(location, options_.map_location);
    const auto at = std::ranges::find(mapped, device, &std::pair<std::string, uint64_t>::first);
    if (at == mapped.end()) {
      mapped.emplace_back(device, count);
    } else {
      at->second += count;
    }
    show_devices_ |= location != "cpu" || device != "cpu";
  }
  summary_.devices = std::move(mapped);
}

/// Metadata that cannot be read say nothing about the tensors.
void LoadReport::find_own_metadata() {
  auto found = find_metadata(*input_.checkpoint);
  if (!found.ok()) {
    task_.reporter.warn(printable(found.error().file()) + ": " + found.error().text());
    return;
  }
  metadata_ = std::move(found->metadata);
  sidecar_ = std::move(found->sidecar);
}

Result<FileReport> LoadReport::run() {
  MLC_TRY(input_, open_input(task_.input, task_.reporter));
  MLC_CHECK(select());
  find_own_metadata();
  MLC_CHECK(check());
  MLC_CHECK(expect());
  MLC_CHECK(compute_stats());
  filter_.warn_of_unused(task_.reporter);
  FileReport report;
  if (integrity_ && !integrity_->damaged.empty()) {
    report.code = ExitCode::input;
    report.damage = damage_error();
  }
  const bool refused = options_.require_safe && !verdict_.accepts();
  const bool diverged = options_.require_finite && count_non_finite(stats_).tensors > 0;
  if ((expected_ && !expected_->satisfied) || refused || diverged) {
    report.code = worst(report.code, ExitCode::no);
  }
  const bool checked = options_.check == LoadCheck::crc || expected_.has_value() ||
                       options_.require_safe || options_.require_finite;
  report.passed = checked && report.code == ExitCode::done;
  if (task_.json) {
    show_json();
  } else if (task_.alone || asks_for_more()) {
    show_text();
  } else {
    report.summary = summary_line() + safety_text();
    if (expected_ && !expected_->satisfied) show_expected();
  }
  return report;
}

/// Arrays under the keys of the state_dict; in a file without a tensor all that there are.
void LoadReport::count_arrays() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  if (state_dict_ == nullptr) {
    if (tensors_.empty()) arrays_ = count_numpy_arrays(checkpoint.graph, checkpoint.root);
    return;
  }
  const auto* entries = checkpoint.graph.entries(state_dict_->node);
  if (entries == nullptr) return;
  for (const StateDictEntry& other : state_dict_->others) {
    if (!filter_.selects(other.key)) continue;
    if (!numpy_array_text(checkpoint.graph, (*entries)[other.position].second).empty()) ++arrays_;
  }
}

void LoadReport::line(std::string_view label, std::string_view text) {
  task_.out.write(fmt::format("{:<12} {}\n", label, text));
}

std::string LoadReport::kind_text(uint32_t index) const {
  const Tensor& tensor = input_.checkpoint->tensors[index];
  std::string text(info(tensor.dtype).brief);
  if (tensor.kind != TensorKind::dense && tensor.detail != kNoIndex) {
    text += " " + input_.checkpoint->details[tensor.detail];
  }
  const auto stands_for = deepspeed_.placeholders.find(index);
  if (stands_for != deepspeed_.placeholders.end()) {
    text += " placeholder of " + format_shape(stands_for->second);
  }
  return text;
}

std::string LoadReport::location_of(const Tensor& tensor) const {
  if (tensor.storage == kNoIndex) return "-";
  return mapped_location(input_.checkpoint->storages[tensor.storage].location,
                         options_.map_location);
}

/// What --stats is asked for most: whether training has diverged, and where.
std::string LoadReport::values_text() const {
  return count_non_finite(stats_).text() +
         non_finite_names(stats_, [this](size_t i) { return tensors_[i].path; });
}

std::string LoadReport::summary_line() const {
  std::string text = plural(summary_.tensors, "tensor") + ", " +
                     plural(summary_.parameters, "parameter") + ", " + format_bytes(summary_.bytes);
  if (arrays_ > 0) text += "; not counted: " + plural(arrays_, "NumPy array");
  if (outside_ > 0) text += "; " + plural(outside_, "tensor") + " in none of the state_dicts";
  if (options_.stats)
    text += "; " + (task_.alone ? count_non_finite(stats_).text() : values_text());
  if (integrity_) text += "; " + integrity_text();
  if (expected_) text += expected_->satisfied ? "; as expected" : "; not as expected";
  if (!file_hash_.empty()) text += "; sha256 " + file_hash_;
  return text;
}

/// What --require-safe found, for the line of a file among several.
std::string LoadReport::safety_text() const {
  if (!options_.require_safe || !verdict_.other_reader.empty()) return {};
  if (verdict_.accepts()) return "; weights_only=True accepts it";
  std::vector<std::string> refused;
  if (!verdict_.refused_globals.empty()) refused.push_back(verdict_.globals_text());
  for (std::string& one : printable_all(verdict_.refused)) refused.push_back(std::move(one));
  return "; weights_only=True refuses " + join_list(refused, 3) + verdict_.without_imports();
}

/// Whether a state_dict stands at PATH, or below it.
bool LoadReport::holds_state_dict(std::string_view path) const {
  return std::ranges::any_of(input_.state_dicts, [path](const StateDict& one) {
    return one.path == path || one.path.starts_with(std::string(path) + ".");
  });
}

/// The keys of the root that are no part of what is shown.
std::vector<std::string> LoadReport::other_values() const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  if (state_dict_ != nullptr) return values_beside(checkpoint, *state_dict_);
  const bool has_rows = !tensors_.empty();
  if (has_rows && !below_.empty()) return {};
  auto others = values_beside(checkpoint, read_state_dict(checkpoint, checkpoint.root, ""));
  if (!input_.state_dicts.empty()) {
    std::erase_if(others, [this](const std::string& path) { return holds_state_dict(path); });
  } else if (has_rows) {
    std::erase_if(others, [&checkpoint](const std::string& path) {
      const NodeId node = node_at(checkpoint, path);
      return node != kNoNode && count_names(checkpoint, node) > 0;
    });
  }
  return others;
}

/// OTHERS for people: with the tensors in them that are in no row of the table.
std::vector<std::string> LoadReport::others_text(const std::vector<std::string>& others) const {
  constexpr size_t kShown = 10;  // by join_list(); the others are only counted
  std::vector<std::string> texts;
  for (const std::string& path : others) {
    const bool shown = texts.size() < kShown;
    texts.push_back(shown ? describe_values(*input_.checkpoint, {path})[0] : sentence_key(path));
  }
  const std::string inside =
      state_dict_ == nullptr || state_dict_->path.empty() ? "" : state_dict_->path + ".";
  for (size_t i = 0; i < others.size(); ++i) {
    if (state_dict_ == nullptr || !others[i].starts_with(inside)) continue;
    const std::string_view key = std::string_view(others[i]).substr(inside.size());
    if (is_module_key(key) || paths_in_values_.contains(key)) texts[i] = sentence_key(others[i]);
  }
  return merge_alike(texts);
}

std::vector<std::string> LoadReport::hints_of_prefixes() const {
  if (state_dict_ != nullptr) {
    const bool alone = std::ranges::count(input_.state_dicts, false, &StateDict::is_part) < 2;
    const std::string place = state_dict_->path.empty() ? "." : state_dict_->path;
    return prefix_hints(*input_.checkpoint, *state_dict_,
                        alone ? "" : " --key " + shell_word(place));
  }
  return below_.empty() ? prefix_hints_of_all(input_) : std::vector<std::string>();
}

void LoadReport::show_lines() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  line("file", printable(checkpoint.path) + " (" + std::string(format_name(checkpoint.format)) +
                   ", " + (checkpoint.files.empty() ? "" : format_bytes(total_size(checkpoint))) +
                   ")");
  if (!checkpoint.origin.writer.empty()) line("written by", checkpoint.origin.writer);
  if (!checkpoint.origin.torch_exactly.empty()) {
    line("torch", checkpoint.origin.torch_exactly + " (" + checkpoint.origin.torch_source + ")");
  }
  if (state_dict_ != nullptr) {
    line("state_dict",
         (state_dict_->path.empty() ? "the whole file" : printable(state_dict_->path)) +
             (state_dict_->other_paths.empty()
                  ? ""
                  : ", the same as " + join_list(sentence_keys(state_dict_->other_paths))) +
             recovered_text(*state_dict_));
  } else if (!below_.empty()) {
    line("shown", "the tensors below " + printable(below_) + ", which is no state_dict");
  } else if (input_.state_dicts.size() > 1) {
    std::vector<std::string> paths;
    for (const StateDict& one : input_.state_dicts) {
      if (one.is_part) continue;  // as for verbs that want one
      paths.push_back((one.path.empty() ? "." : printable(one.path)) + " (" +
                      plural(one.entries.size(), "tensor") + ")");
    }
    line("state_dicts", join_list(paths) + "; choose one with --key");
  } else if (input_.state_dicts.empty()) {
    line("state_dict", "none; `mlc load --tree` shows what is in the file");
  }
  line("tensors", summary_line());
  if (!summary_.dtypes.empty()) line("dtypes", join_counts(summary_.dtypes));
  if (show_devices_) {
    std::vector<std::string> parts;
    for (const auto& [device, count] : summary_.devices) {
      parts.push_back(printable(device) + " " + format_count(count));
    }
    line("devices", join_list(parts));
  }
  if (const auto others = other_values(); !others.empty())
    line("also here", join_list(others_text(others)));
  if (const auto extra = printable_all(extra_file_names(checkpoint)); !extra.empty()) {
    line("extra files", join_list(extra));
  }
  if (!summary_.shared.empty()) {
    std::vector<std::string> groups;
    for (const auto& group : summary_.shared) {
      std::vector<std::string> names;
      for (const std::string& name : group) names.push_back(sentence_key(name));
      groups.push_back(join_list(names, 3));
    }
    line("shared", plural(groups.size(), "storage") + ": " + shown_groups(groups));
  }
  if (summary_.wasted_bytes > 0) {
    line("unused", format_bytes(summary_.wasted_bytes) + " of storage that no tensor shows" +
                       compact_text(summary_));
  }
  const uint64_t dead = dead_bytes(checkpoint);
  if (dead > total_size(checkpoint) / 100) {
    line("dead bytes",
         format_bytes(dead) +
             " that edits in place left in the file; `mlc save` writes it without them");
  }
  for (const std::string& hint : hints_of_prefixes()) line("prefix", hint);
  if (metadata_) {
    const std::string version = metadata_->version().value_or("");
    line("metadata", (metadata_->name() ? printable(*metadata_->name()) : keys_text(*metadata_)) +
                         (version.empty() ? "" : " " + printable(version)) +
                         (sidecar_.empty() ? "" : " (in " + printable(sidecar_) + ")"));
  }
  if (const std::string text = metadata_ ? quantized_text(*metadata_) : ""; !text.empty()) {
    line("quantised", text);
  }
  show_architecture();
  if (const auto strings = string_metadata_text(checkpoint); !strings.empty()) {
    line("header", join_list(strings));
  }
  show_arrays();
  show_deepspeed();
  show_codes();
  show_deflated();
  if (options_.require_finite) line("values", values_text());
  show_verdict();
}

/// What looks like weights, or like none, and is a piece of a checkpoint of many files.
void LoadReport::show_deepspeed() {
  constexpr const char* kJoin = "DeepSpeed's zero_to_fp32.py joins those of all ranks";
  if (const uint64_t count = deepspeed_.placeholders.size(); count > 0) {
    line("deepspeed", plural(count, "ZeRO-3 placeholder") +
                          " without elements: the weights are in pieces in the "
                          "zero_pp_rank_*_optim_states.pt files beside this one; " +
                          kJoin);
  }
  if (deepspeed_.flat_parts > 0) {
    const std::string stage =
        deepspeed_.zero_stage ? " (ZeRO-" + std::to_string(*deepspeed_.zero_stage) + ")" : "";
    line("deepspeed", plural(deepspeed_.flat_parts, "flat tensor") +
                          " with the part of one rank in all weights" + stage + "; " + kJoin);
  }
}

void LoadReport::show_codes() {
  if (codes_.empty()) return;
  line("fp8 codes", plural(codes_.size(), "tensor") + " with scales beside them: " +
                        join_list(codes_, 2) + "; " + std::string(kCodesAreNoValues));
}

/// What `mlc run` would take for the architecture of the file.
void LoadReport::show_architecture() {
  if (!metadata_ || !sidecar_.empty() || metadata_->get("architecture") == nullptr) return;
  const auto found = find_architecture(*input_.checkpoint, "");
  if (!found.ok() || !*found) return;  // whoever runs it is told
  const arch::Architecture& architecture = **found;
  std::string text =
      architecture.name().empty() ? "without a name" : printable(architecture.name());
  std::vector<std::string> inputs;
  for (const arch::PositionedText& one : architecture.inputs())
    inputs.push_back(printable(one.text));
  if (!inputs.empty()) text += ", takes " + join_list(inputs);
  const bool quantized = metadata_->get("quantization") != nullptr;
  line("architecture",
       text + "; `mlc run` runs " + (quantized ? "what `mlc dequantize` makes of it" : "it"));
}

void LoadReport::show_arrays() {
  if (arrays_ > 0) line("numpy", kArraysHint);
}

void LoadReport::show_deflated() {
  const uint64_t deflated = count_deflated(*input_.checkpoint);
  if (deflated > 0) {
    line("deflated", plural(deflated, "storage") +
                         ", which torch.load(mmap=True) misreads; `mlc save` stores them");
  }
}

void LoadReport::show_verdict() {
  if (!verdict_.refused_globals.empty()) {
    line("unsafe",
         "weights_only=True refuses " + verdict_.globals_text() + verdict_.without_imports());
  }
  if (!options_.globals && !options_.require_safe) return;
  if (!verdict_.refused.empty()) {
    line("weights_only", "refuses " + join_list(printable_all(verdict_.refused), 3));
  } else if (verdict_.accepts()) {
    line("weights_only", verdict_.other_reader.empty()
                             ? "accepts the file"
                             : "is not asked: " + std::string(verdict_.other_reader) +
                                   " reads this format, torch.load does not");
  }
}

void LoadReport::show_globals() {
  Table table({{"NAME", Align::left, true}, {"USES", Align::right}, {"weights_only", Align::left}});
  for (const pickle::GlobalUse& use : globals_) {
    const bool allowed = pickle::weights_only_allows(use.module, use.name);
    const std::string_view code = !allowed && pickle::runs_code(use.module, use.name)
                                      ? (use.called ? " (runs code)" : " (code, not called)")
                                      : "";
    table.add({use.module + "." + use.name, std::to_string(use.count),
               (allowed ? "accepts" : "refuses") + std::string(code)});
  }
  task_.out.write("\n");
  table.render(task_.out, task_.width);
}

void LoadReport::show_table() {
  std::vector<Column> columns = {{"NAME", Align::left, true},
                                 {"DTYPE", Align::left},
                                 {"SHAPE", Align::left},
                                 {"BYTES", Align::right}};
  if (show_devices_ || !options_.map_location.empty()) columns.push_back({"DEVICE", Align::left});
  const bool devices = columns.size() == 5;
  if (options_.stats) add_stats_columns(columns);
  if (!hashes_.empty()) columns.push_back({"SHA256", Align::left});
  Table table(columns);
  table.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor& tensor = input_.checkpoint->tensors[tensors_[i].tensor];
    const bool root = tensors_[i].path.empty() && tensors_.size() == 1 && state_dict_ == nullptr;
    table.cell(root ? "." : shown_key(tensors_[i].path));
    table.cell(kind_text(tensors_[i].tensor));
    table.cell(shape_text(*input_.checkpoint, tensor));
    table.cell(std::to_string(stored_bytes(*input_.checkpoint, tensor)));
    if (devices) table.cell(location_of(tensor));
    if (options_.stats) add_stats(table, stats_[i]);
    if (!hashes_.empty()) table.cell(hashes_[i]);
  }
  task_.out.write("\n");
  table.render(task_.out, task_.width);
}

void LoadReport::show_text() {
  show_lines();
  show_check();
  if (options_.globals) show_globals();
  if (options_.tree) {
    task_.out.write("\n");
    task_.out.write(render_tree(*input_.checkpoint));
  }
  const bool other_view = options_.tree || options_.globals;
  const bool wanted = options_.stats || !hashes_.empty() || !other_view;
  if (!options_.summary_only && wanted && !tensors_.empty()) show_table();
}

Result<FileReport> load_one(FileTask& task, const LoadOptions& options) {
  return is_onnx_model(task.input) ? load_onnx(task, options) : LoadReport(task, options).run();
}

}  // namespace mlc::cli
