#include "command.h"
#include "files/batch.h"
#include "files/cast_warnings.h"
#include "files/embedded_architecture.h"
#include "files/file_warnings.h"
#include "files/in_place.h"
#include "files/map_locations.h"
#include "files/metadata_sources.h"
#include "files/provenance_options.h"
#include "files/quantized_codes.h"
#include "files/shard_place.h"
#include "files/unsafe_values.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/bare_tensors.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/module_pickle.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/weights_only.h"
#include "mlc/checkpoint/write_safetensors.h"
#include "mlc/checkpoint/write_sharded.h"
#include "mlc/metadata/provenance.h"
#include "mlc/yaml/document.h"
#include "save/drop_values.h"
#include "save/save_options.h"
#include "save/save_steps.h"
#include "save/save_view.h"
#include "save/take_from.h"
#include "save/values_kept.h"

#include <algorithm>
#include <set>

namespace mlc::cli {
namespace {

class Job {
 public:
  Job(FileTask& task, const SaveRequest& options) : task_(task), options_(options) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, warnings_.of_file(task_.input)));
    if (!options_.merge) warnings_.say();
    MLC_CHECK(choose());
    MLC_CHECK(drop_values());
    MLC_CHECK(replace_modules(input_, task_.reporter));
    MLC_CHECK(change());
    MLC_TRY(const std::optional<std::string> yaml, metadata());
    if (!options_.writing.in_place) warn_of_sidecar(task_.output, yaml, task_.reporter);
    if (options_.writing.dry_run) {
      MLC_CHECK(plan(yaml));
      answer();
      return FileReport{ExitCode::done, "dry run: would write " +
                                            plural(report_.tensors, "tensor") + ", " +
                                            format_bytes(report_.bytes) + " of tensor data" +
                                            without_text() + "; nothing was written"};
    }
    MLC_CHECK(write(yaml));
    warn_about_values();
    answer();
    return FileReport{ExitCode::done, summary()};
  }

 private:
  Status choose();
  bool goes_with_all() const;
  Status choose_all();
  Status drop_values();
  void take_distributed();
  Status cast();
  Status change();
  void unwrap(NodeId node);
  void warn_of_packed_modules();
  void keep_weights();
  Status drop_unsafe();
  Result<std::optional<std::string>> metadata();
  Status write(const std::optional<std::string>& yaml);
  Status write_shards(const std::optional<std::string>& yaml);
  bool keeps_the_rest() const;
  bool tensors_only() const {  // of a state_dict, without what stands beside it
    return format_ == OutputFormat::safetensors || options_.max_shard_size > 0;
  }
  SaveOptions save_options(const std::optional<std::string>& yaml) const;
  ShardOptions shard_options(const std::optional<std::string>& yaml) const;
  Status plan(const std::optional<std::string>& yaml);
  std::vector<NamedTensor> planned_tensors() const;
  void warn_of_optimizers();
  void warn_of_kept();
  void warn_about_values();
  void answer();
  std::string summary() const;
  std::string without_text() const;
  bool needs_state_dict() const;
  Status refuse_unused_options() const;
  Status check_program() const;
  SharedPolicy shared_policy() const { return options_.shared.value_or(SharedPolicy::dedupe); }

  FileTask& task_;
  const SaveRequest& options_;
  FileWarnings warnings_{task_.reporter};  // of the inputs
  Input input_;
  StateDict* state_dict_ = nullptr;
  bool bare_ = false;               // tensors without names stand where one is meant
  std::vector<StateDict*> chosen_;  // that one, or all with --key '*'
  OutputFormat format_ = OutputFormat::torch_zip;
  SaveReport report_;
  uint64_t shards_ = 0;
  CastLog casts_;
  std::vector<std::string> dropped_;
  DroppedValues dropped_values_;
  std::optional<Migration> migration_;
  std::vector<QuantizedRecord> merged_records_;  // of the files that were added
};

bool Job::needs_state_dict() const {
  const SelectOptions& select = options_.select;
  const bool weights = options_.weights_only && !bare_;
  return format_ == OutputFormat::safetensors || weights || options_.merge ||
         !options_.architecture.empty() || !options_.dtype.empty() || !options_.from.empty() ||
         options_.max_shard_size > 0 || select.has_patterns() ||
         (!options_.drop_values.empty() && !bare_);
}

/// Who converts arrays knows what comes out; a program that runs no more is another thing. Error:
/// unsupported, where without the program nothing is left.
Status Job::check_program() const {
  const Format format = input_.checkpoint->format;
  const bool program = format == Format::torchscript || format == Format::pt2;
  if (!program) return {};
  if (input_.checkpoint->tensors.empty()) {
    return unsupported("a program without tensors: nothing of it is left in another format")
        .in_file(input_.checkpoint->path);
  }
  if (options_.weights_only) return {};
  warn_of_format(*input_.checkpoint, task_.output, task_.reporter);
  return {};
}

/// What the format of the output makes of no effect is a mistake of whoever asked for it.
Status Job::refuse_unused_options() const {
  const bool safetensors = format_ == OutputFormat::safetensors;
  if (safetensors && !options_.map_location.empty()) {
    return usage_error("--map-location means nothing for safetensors, which records no devices",
                       "write a .pt, or leave it out");
  }
  if (safetensors && !options_.drop_values.empty()) {
    return usage_error(
        "--drop-values means nothing for safetensors, which keeps no values beside "
        "the tensors of a state_dict",
        "write a .pt, or leave it out");
  }
  if (!safetensors && options_.shared && !task_.output.empty()) {
    return usage_error("--shared means nothing for a .pt, which keeps tied tensors tied",
                       "write a .safetensors, or leave it out");
  }
  return {};
}

Status Job::choose() {
  if (options_.max_shard_size > 0) {
    format_ = options_.format == "pt" ? OutputFormat::torch_zip : OutputFormat::safetensors;
  } else if (options_.writing.in_place) {
    MLC_TRY(format_, format_in_place(*input_.checkpoint, options_.format, Elsewhere::shards));
    MLC_CHECK(check_no_modules(input_));
    MLC_CHECK(check_replaceable(*input_.checkpoint, task_.output, options_.writing));
  } else if (!task_.output.empty()) {
    auto format = output_format_of(task_.output, options_.format);
    if (!format.ok()) return std::move(format).error();
    format_ = *format;
  }
  MLC_CHECK(refuse_unused_options());
  MLC_CHECK(check_program());
  if (options_.select.key == "*") return choose_all();
  const std::string& key = options_.select.key;
  if (tensors_only()) name_tensors(input_, key, task_.reporter);
  bare_ = has_bare_tensors(input_, key);
  const bool found = key.empty() ? only_candidate(input_.state_dicts) != nullptr : !bare_;
  if (found || needs_state_dict()) {
    auto chosen = choose_state_dict(input_, key);
    const bool several = key.empty() && input_.state_dicts.size() > 1;
    if (!chosen.ok() && several && goes_with_all()) {
      const Error& error = chosen.error();
      return usage_error(error.message(), error.hint() + ", or all of them with --key '*'")
          .in_file(error.file());
    }
    if (!chosen.ok()) return std::move(chosen).error();
    state_dict_ = *chosen;
    chosen_ = {state_dict_};
  }
  return {};
}

/// Whether --key '*' goes with what is asked for: other steps, and other formats, take one
/// state_dict.
bool Job::goes_with_all() const {
  const bool takes_one = options_.select.has_patterns() || options_.weights_only ||
                         options_.merge || !options_.architecture.empty() ||
                         !options_.from.empty() || options_.max_shard_size > 0 ||
                         format_ == OutputFormat::safetensors;
  return !takes_one &&
         (!options_.dtype.empty() || options_.compact || !options_.drop_values.empty());
}

/// What --key '*' is.
Status Job::choose_all() {
  if (!goes_with_all()) {
    return usage_error(
        "--key '*' is every state_dict: it goes with --dtype, --compact-views and "
        "--drop-values, into a .pt, and with nothing that takes one",
        "name one with --key");
  }
  for (StateDict& one : input_.state_dicts) {
    if (!one.is_part) chosen_.push_back(&one);
  }
  if (chosen_.empty()) MLC_CHECK(choose_state_dict(input_, ""));
  return {};
}

/// Before anything is said of, or done to, what is left out.
Status Job::drop_values() {
  if (options_.drop_values.empty()) return {};
  MLC_TRY(dropped_values_, cli::drop_values(input_, chosen_, options_.drop_values, task_));
  forget_dropped(input_, chosen_);
  if (state_dict_ != nullptr) state_dict_ = chosen_[0];
  return {};
}

Status Job::change() {
  Checkpoint& checkpoint = *input_.checkpoint;
  std::set<std::string> left_out;
  if (options_.merge) {
    const std::vector<std::string> others(options_.inputs.begin() + 1, options_.inputs.end());
    MLC_TRY(Merged merged,
            merge_inputs(checkpoint, *state_dict_, others, options_.select,
                         options_.on_conflict.value_or(OnConflict::error), warnings_));
    warnings_.say();
    merged_records_ = std::move(merged.records);
    for (const std::string& text : describe_missing_shards(options_.inputs)) {
      task_.reporter.warn(text);
    }
    if (merged.replaced + merged.added > 0) warn_of_optimizers();
  }
  if (state_dict_ != nullptr) {
    auto selected =
        select_tensors(input_, *state_dict_, options_.select,
                       keeps_the_rest() ? Beside::kept : Beside::left_out, task_.reporter);
    if (!selected.ok()) return std::move(selected).error().in_file(task_.input);
    left_out = std::move(selected->names);
    if (keeps_the_rest()) cli::warn_of_optimizers(selected->optimizers, task_.reporter);
  }
  if (!options_.from.empty()) {
    MLC_TRY(migration_, take_from(checkpoint, *state_dict_, options_.from, options_.from_key,
                                  dtype_from_name(options_.dtype), casts_, task_.reporter));
    warn_of_migration(*migration_, {options_.from, task_.input, left_out}, task_.reporter);
    warn_of_optimizers();
  }
  take_distributed();
  if (options_.compact) MLC_CHECK(compact_views(input_, state_dict_, options_.select.key));
  if (!options_.dtype.empty()) MLC_CHECK(cast());
  keep_weights();
  warn_of_kept();
  warn_of_unused_locations(checkpoint, options_.map_location, task_.reporter);
  map_locations(checkpoint, options_.map_location);
  return drop_unsafe();
}

/// A DTensor is nothing that other formats, other types and weights_only=True know; one that is
/// whole in this file need not be one.
void Job::take_distributed() {
  const bool plain =
      tensors_only() || options_.safe || options_.weights_only || !options_.dtype.empty();
  if (!plain) return;
  make_plain(*input_.checkpoint, chosen_, options_.safe && !tensors_only(), task_.reporter);
}

Status Job::cast() {
  Checkpoint& checkpoint = *input_.checkpoint;
  std::vector<std::vector<std::vector<std::string>>> overlaps;  // afterwards there are none
  for (const StateDict* one : chosen_) {
    overlaps.push_back(overlapping_views(checkpoint, named_tensors(*one)));
    if (shared_policy() == SharedPolicy::error) MLC_CHECK(refuse_overlaps(overlaps.back()));
  }
  const DType dtype = *dtype_from_name(options_.dtype);
  for (const StateDict* one : chosen_) {
    warn_of_codes(checkpoint, *one, task_.reporter);
    warn_of_scales(checkpoint, *one, dtype, task_.reporter);
  }
  MLC_CHECK(cast_tensors(checkpoint, chosen_, dtype, casts_));
  warn_of_type(dtype, task_.reporter);
  for (size_t i = 0; i < chosen_.size(); ++i) {
    warn_of_uncast(*input_.checkpoint, *chosen_[i], task_.reporter);
    warn_of_parted(checkpoint, *chosen_[i], overlaps[i], task_.reporter);
  }
  return {};
}

/// A class of one's own around a state_dict is nothing that weights_only=True would read.
void Job::unwrap(NodeId node) {
  const PlainMapping made = make_plain_mapping(*input_.checkpoint, node);
  if (made.name.empty()) return;
  if (state_dict_ != nullptr) read_again(*input_.checkpoint, *state_dict_);
  const std::string lost = made.attributes.empty()
                               ? ""
                               : ", nor what stood beside its keys: " + join_list(made.attributes);
  task_.reporter.warn("the " + printable(made.name) +
                      " is written as a dict; its class is not kept" + lost);
}

/// Who asks for weights alone does not mean to lose those of a module that mlc cannot unpack.
void Job::warn_of_packed_modules() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  std::vector<std::string> lost = values_beside(checkpoint, *state_dict_);
  std::erase_if(lost, [&](const std::string& path) {
    const NodeId node = node_at(checkpoint, path);
    return node == kNoNode || !holds_module(checkpoint.graph, node) ||
           count_names(checkpoint, node) == 0;
  });
  if (lost.empty()) return;
  task_.reporter.warn(
      "left out, being pickled modules without a state_dict that mlc can recover: " +
      join_list(describe_values(checkpoint, lost)));
}

void Job::keep_weights() {
  if (!options_.weights_only) return;
  if (state_dict_ == nullptr) {
    keep_bare_tensors(*input_.checkpoint, options_.select.key);
    return unwrap(input_.checkpoint->root);
  }
  warn_of_packed_modules();
  std::vector<std::string> shown;
  for (const auto& [key, tensors] : keep_only(*input_.checkpoint, *state_dict_)) {
    dropped_.push_back(printable(key));
    shown.push_back((tensors > 0 ? plural(tensors, "tensor") + " in " : "") + sentence_key(key));
  }
  if (format_ == OutputFormat::torch_zip) unwrap(state_dict_->node);
  if (shown.empty()) return;
  task_.reporter.warn("dropped from the state_dict, for no module loads them: " +
                      join_list(merge_alike(shown)));
}

Status Job::drop_unsafe() {
  if (!options_.safe || tensors_only()) return {};  // without an object to be refused
  unwrap(input_.checkpoint->root);
  for (const StateDict& one : input_.state_dicts) unwrap(one.node);
  MLC_TRY(const auto dropped, drop_unsafe_values(*input_.checkpoint));
  if (dropped.empty()) return {};
  task_.reporter.warn("dropped what weights_only=True refuses: " + join_list(merge_alike(dropped)));
  dropped_.insert(dropped_.end(), dropped.begin(), dropped.end());
  return {};
}

/// After everything that changes tensors: an architecture has to fit what is written.
Result<std::optional<std::string>> Job::metadata() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  const bool asked = !options_.meta.empty() || !options_.set.empty() || options_.hash_input ||
                     !options_.architecture.empty();
  const bool keeps_sidecar = options_.writing.in_place && !asked;
  MLC_TRY(auto metadata, keeps_sidecar ? read_metadata(checkpoint) : metadata_to_carry(checkpoint));
  if (!metadata && (asked || !merged_records_.empty())) metadata.emplace();
  if (metadata && state_dict_ != nullptr) {
    MLC_CHECK(follow_codes(*metadata, merged_records_, checkpoint, *state_dict_));
  }
  for (const std::string& path : options_.meta) {
    MLC_TRY(const Metadata more, Metadata::parse_file(path));
    metadata->merge_from(more);
  }
  for (const std::string& text : options_.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return usage_error("--set " + mlc::quoted(text) + " has no =", "--set training.epoch=42");
    }
    MLC_CHECK_CTX(metadata->set(text.substr(0, equals), text.substr(equals + 1)), "--set");
  }
  if (!options_.meta.empty() || !options_.set.empty()) {
    warn_of_frameworks(*metadata, task_.reporter);
  }
  if (!options_.architecture.empty()) {
    MLC_CHECK(embed_architecture(options_.architecture, checkpoint, *state_dict_, *metadata,
                                 task_.reporter));
  } else if (metadata && state_dict_ != nullptr) {
    MLC_CHECK(check_embedded(*metadata, checkpoint, *state_dict_, false, task_.reporter));
  }
  std::string hash;
  if (options_.hash_input) {
    MLC_TRY(hash, sha256_files(input_.checkpoint->files, task_.reporter));
  }
  return with_provenance(std::move(metadata), "save", provenance_of(options_), std::move(hash));
}

ShardOptions Job::shard_options(const std::optional<std::string>& yaml) const {
  ShardOptions shards;
  shards.format = format_;
  shards.max_shard_bytes = options_.max_shard_size;
  shards.metadata_yaml = yaml;
  shards.shared = shared_policy();
  shards.threads = task_.threads;
  shards.output = options_.writing.output_options();
  return shards;
}

SaveOptions Job::save_options(const std::optional<std::string>& yaml) const {
  SaveOptions save;
  save.format = format_;
  save.metadata_yaml = yaml;
  save.shared = shared_policy();
  save.threads = task_.threads;
  save.output = options_.writing.output_options();
  return save;
}

Status Job::write_shards(const std::optional<std::string>& yaml) {
  MLC_CHECK(check_only_tensors(*input_.checkpoint, *state_dict_));
  MLC_TRY(const ShardSummary summary,
          write_sharded(*input_.checkpoint, named_tensors(*state_dict_), task_.output,
                        shard_options(yaml), task_.reporter));
  report_.tensors = summary.tensors;
  report_.bytes = summary.bytes;
  report_.file_size = summary.file_bytes;
  report_.aliases = summary.aliases;
  report_.overlaps = summary.overlaps;
  report_.oversized = summary.oversized;
  report_.left_out = values_beside(*input_.checkpoint, *state_dict_);
  shards_ = summary.files.size();
  return {};
}

Status Job::write(const std::optional<std::string>& yaml) {
  if (options_.max_shard_size > 0) return write_shards(yaml);
  MLC_TRY(report_, save_checkpoint(*input_.checkpoint, state_dict_, task_.output,
                                   save_options(yaml), task_.reporter));
  warn_of_index_metadata(*input_.checkpoint, task_.reporter);
  return {};
}

bool Job::keeps_the_rest() const {
  return !options_.weights_only && !tensors_only();
}

/// Who names one state_dict may expect a file with nothing else in it.
void Job::warn_of_kept() {
  const std::string& key = options_.select.key;
  if (!keeps_the_rest()) return;
  const bool named = !key.empty() && state_dict_ != nullptr;
  if (!named && !options_.dtype.empty()) {
    warn_of_cast_beside(*input_.checkpoint, chosen_, task_.reporter);
  }
  if (!named) return;
  const StateDictChange change{key, migration_ ? &migration_->changed : nullptr,
                               !options_.dtype.empty()};
  warn_of_values_beside(*input_.checkpoint, *state_dict_, change, task_.reporter);
}

/// After tensors got other values: what an optimizer learned of them is kept as it was.
void Job::warn_of_optimizers() {
  if (!keeps_the_rest()) return;
  std::vector<std::string> paths;
  for (const OptimizerState& one : find_optimizers(*input_.checkpoint)) paths.push_back(one.path);
  warn_of_stale_optimizers(paths, task_.reporter);
}

/// What a dry run can say of the output before it is written, refusals included.
Status Job::plan(const std::optional<std::string>& yaml) {
  Checkpoint& checkpoint = *input_.checkpoint;
  if (!task_.json) show_plan(checkpoint, planned_tensors(), task_);
  MLC_CHECK(rehearse_storages(checkpoint, planned_tensors(), task_.threads));
  const std::string place = place_to_check(task_.output, options_.writing);
  if (options_.max_shard_size > 0) {
    MLC_CHECK(check_only_tensors(checkpoint, *state_dict_));
    MLC_TRY(report_,
            plan_sharded(checkpoint, named_tensors(*state_dict_), place, shard_options(yaml)));
    report_.left_out = values_beside(checkpoint, *state_dict_);
  } else {
    MLC_TRY(report_, plan_checkpoint(checkpoint, state_dict_, place, save_options(yaml)));
  }
  warn_about_values();
  return {};
}

std::vector<NamedTensor> Job::planned_tensors() const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  return tensors_only() ? named_tensors(*state_dict_) : all_tensors(checkpoint, checkpoint.root);
}

void Job::warn_about_values() {
  const bool shards = options_.max_shard_size > 0;  // in a dry run too
  if (!report_.left_out.empty()) {
    task_.reporter.warn((shards
                             ? "shards hold the tensors of a state_dict only; left out: "
                             : "safetensors holds the tensors of a state_dict only; left out: ") +
                        join_list(describe_values(*input_.checkpoint, report_.left_out)));
  }
  if (format_ == OutputFormat::torch_zip && !options_.safe && !shards) {
    const WeightsOnlyVerdict verdict = verdict_once_written(*input_.checkpoint);
    if (!verdict.accepts()) {
      task_.reporter.warn("weights_only=True will refuse this file" + verdict.without_imports() +
                          ": it keeps " + join_list(verdict.texts()) + "; " +
                          refusal_way_out(*input_.checkpoint, options_.weights_only));
    }
  }
  if (shards && format_ == OutputFormat::torch_zip && state_dict_->metadata != kNoNode) {
    task_.reporter.warn("shards are plain dicts; the versions of modules (_metadata) are not kept");
  }
  warn_of_deflated(*input_.checkpoint, task_.reporter);
  warn_of_oversized(report_, options_.max_shard_size, task_.reporter);
  warn_of_overlaps(report_, task_.reporter);
  warn_of_overflow(casts_, options_.dtype, task_.reporter);
  warn_of_underflow(casts_, options_.dtype, task_.reporter);
}

/// ", without optimizer": what --drop-values left out.
std::string Job::without_text() const {
  const std::vector<std::string>& texts = dropped_values_.texts;
  return texts.empty() ? "" : ", without " + join_list(texts);
}

std::string Job::summary() const {
  std::string text = "wrote " + output_text(task_.output) + ": " +
                     plural(report_.tensors, "tensor") + ", " + format_bytes(report_.file_size);
  if (shards_ > 0) {
    text += " in " + plural(shards_, "file") + companions_text(*input_.checkpoint, task_.output);
  }
  text += tied_text(report_);
  text += without_text();
  if (migration_) text += migration_text(*migration_, options_.from);
  return text;
}

void Job::answer() {
  if (!task_.json) return;
  save_json(task_, options_,
            {format_, report_, casts_, dropped_, dropped_values_.paths,
             migration_ ? &*migration_ : nullptr});
}

/// What is read beside the inputs of plan_outputs.
OtherFiles other_files(const SaveRequest& options) {
  OtherFiles others;
  others.shards = options.format == "pt" ? OutputFormat::torch_zip : OutputFormat::safetensors;
  others.elsewhere = Elsewhere::shards;
  if (!options.from.empty()) others.reads.push_back({options.from, "--from"});
  for (const std::string& path : options.meta) others.reads.push_back({path, "--meta"});
  for (size_t i = 1; options.merge && i < options.inputs.size(); ++i) {
    others.reads.push_back({options.inputs[i], ""});
  }
  return others;
}

Result<ExitCode> run(const SaveRequest& options, Context& context) {
  const std::vector<std::string> inputs =
      options.merge ? std::vector<std::string>{options.inputs[0]} : options.inputs;
  std::optional<std::string> extension;
  if (!options.format.empty()) extension = "." + options.format;
  if (options.max_shard_size > 0) extension = "";  // of a folder
  MLC_TRY(auto files, plan_outputs(inputs, options.writing, extension, other_files(options)));
  for (FilePair& file : files) file.may_be_folder = options.max_shard_size > 0;
  return run_files(context, files, options.writing.batch,
                   [&](FileTask& task) { return Job(task, options).run(); });
}

constexpr Example kExamples[] = {
    {"mlc save model.pt -o model.safetensors", "convert"},
    {"mlc save train.ckpt -o weights.pt --weights-only --dtype bf16", "for inference"},
    {"mlc save train.ckpt -o out.pt --drop-values 'optim*'", "keep the rest"},
    {"mlc save *.pt --out-dir st --format safetensors -j 2", "convert many"},
    {"mlc save new.pt --from pretrained.pt -o start.pt", "take what matches"},
    {"mlc save big.pt -o shards --max-shard-size 5GB", "Hugging Face shards with index"},
};

}  // namespace

Command save_command() {
  return {
      .name = "save",
      .group = Group::convert,
      .summary = "write a checkpoint: convert, select, merge, cast",
      .details =
          "A .pt output loads in PyTorch 1.6 to the newest with weights_only=True and "
          "mmap=True. Optimizer, scalars and unknown Python objects are kept unless "
          "--weights-only, --drop-values or --safe says otherwise; nothing is ever executed.\n\n"
          "The CRC of every record that is read is compared, so damaged input stops.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<SaveRequest, add_save_options, run>};
}

}  // namespace mlc::cli
