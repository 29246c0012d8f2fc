#include "edit/edit_keys.h"

#include "cli/json_writer.h"
#include "edit/rule_checks.h"
#include "files/embedded_architecture.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "files/open_input.h"
#include "files/quantized_codes.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/rewrite_zip.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/write_sharded.h"
#include "mlc/compress/follow_quantization.h"
#include "mlc/keys/apply_plan.h"
#include "mlc/keys/follow_optimizers.h"
#include "mlc/keys/module_prefixes.h"
#include "mlc/pickle/writer.h"

#include <algorithm>
#include <map>
#include <utility>

namespace mlc::cli {
namespace {

/// One state_dict of the file and what will be done to it.
struct Target {
  StateDict* state_dict = nullptr;
  Plan plan;
};

Result<Plan> make_whole_plan(const KeyEdit& edit, const std::vector<KeyInfo>& keys) {
  MLC_TRY(Plan plan, edit.make_plan(keys));
  MLC_CHECK(follow_modules(plan));
  return plan;
}

Result<std::vector<Target>> make_targets(Input& input, const KeyEdit& edit) {
  std::vector<Target> targets;
  if (edit.key == "*" && !input.state_dicts.empty()) {
    for (StateDict& one : input.state_dicts) {
      if (!one.is_part) targets.push_back({&one, {}});
    }
  } else {
    auto chosen = choose_state_dict(input, edit.key == "*" ? "" : edit.key);
    if (!chosen.ok() && edit.key.empty() && input.state_dicts.size() > 1) {
      const Error& error = chosen.error();
      return usage_error(error.message(), error.hint() + ", or all of them with --key '*'")
          .in_file(error.file());
    }
    if (!chosen.ok() && edit.by_rules && edit.key == ".") {
      const Error& error = chosen.error();
      return usage_error(error.message(), error.hint() +
                                              "; `mlc save --drop-values GLOB` leaves out values "
                                              "beside a state_dict")
          .in_file(error.file());
    }
    if (!chosen.ok()) return std::move(chosen).error();
    targets.push_back({*chosen, {}});
  }
  for (Target& target : targets) {
    auto plan = make_whole_plan(edit, plan_keys(*input.checkpoint, *target.state_dict));
    if (!plan.ok()) {
      Error error = std::move(plan).error();
      if (targets.size() > 1) error = std::move(error).during(quoted(target.state_dict->path));
      return std::move(error).in_file(input.checkpoint->path);
    }
    target.plan = std::move(plan).value();
    if (edit.inspect) MLC_CHECK(edit.inspect(target.plan));
  }
  return targets;
}

/// Only names in the pickle change: storages can stay where they are.
bool only_names_change(const Input& input, const std::vector<Target>& targets) {
  if (!is_rewritable_zip(*input.checkpoint)) return false;
  return std::all_of(targets.begin(), targets.end(), [](const Target& target) {
    return target.state_dict->module == kNoNode && target.plan.is_pure_rename() &&
           target.plan.dropped.empty();
  });
}

/// OF: of which state_dict, where there are several.
void warn_of_all(const std::vector<std::string>& warnings, const std::string& of,
                 Reporter& reporter) {
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(warnings.size(), kShown); ++i) reporter.warn(of + warnings[i]);
  if (warnings.size() > kShown) {
    reporter.warn(of + "and " + format_count(warnings.size() - kShown) +
                  " more; --strict counts them");
  }
}

bool any_change(const std::vector<Target>& targets) {
  return std::any_of(targets.begin(), targets.end(),
                     [](const Target& target) { return target.plan.changes_anything(); });
}

class Job {
 public:
  Job(FileTask& task, const KeyEdit& edit) : task_(task), edit_(edit) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, task_.reporter));
    MLC_TRY(targets_, make_targets(input_, edit_));
    MLC_CHECK(check_rules());
    report_notes();
    MLC_CHECK(check_not_emptied());
    changed_ = any_change(targets_);
    const bool dry = edit_.writing.dry_run;
    const bool skip =
        !changed_ && (edit_.skip_unchanged || edit_.require_change || edit_.writing.in_place);
    if (!skip) {
      MLC_CHECK(aim());
      warn_of_format(*input_.checkpoint, task_.output, task_.reporter);
      follow_in_optimizers();
      const bool names_only = only_names_change(input_, targets_);
      MLC_CHECK(follow_quantization());
      MLC_CHECK(apply());
      MLC_CHECK(check_architecture());
      MLC_CHECK(dry ? rehearse(names_only) : write(names_only));
    }
    answer();
    const bool no = edit_.require_change && !changed_;
    return FileReport{no ? ExitCode::no : ExitCode::done, summary(skip)};
  }

 private:
  Status aim();
  Status check_rules() const;
  Status check_no_shard() const;
  Status rehearse(bool names_only);
  Status read_tensors() const;
  Status apply();
  Status check_architecture() const;
  Status follow_quantization();
  void follow_in_optimizers();
  Status write(bool names_only);
  Status write_names();
  void warn_of_left_out();
  ShardOptions shard_options(const std::optional<std::string>& yaml) const;
  Status write_shards(const std::optional<std::string>& yaml);
  Result<std::optional<std::string>> carried_metadata() const;
  void report_notes();
  Status check_not_emptied() const;
  void answer();
  void answer_json();
  std::string summary(bool skipped) const;
  PlanCounts counts() const;

  FileTask& task_;
  const KeyEdit& edit_;
  Input input_;
  std::vector<Target> targets_;
  bool changed_ = false;
  uint64_t file_size_ = 0;
  bool written_ = false;
  OutputFormat format_ = OutputFormat::torch_zip;
  bool to_folder_ = false;                    // of shards
  std::optional<QuantizedRecord> quantized_;  // after the plans, where the file has one
  SaveReport report_;
};

Status Job::check_rules() const {
  if (!edit_.by_rules) return {};
  std::vector<const Plan*> plans;
  for (const Target& target : targets_) plans.push_back(&target.plan);
  return check_misplaced(*input_.checkpoint, targets_[0].state_dict->path, plans, edit_.make_plan,
                         task_.reporter);
}

void Job::report_notes() {
  for (const Target& target : targets_) {
    const std::string& path = target.state_dict->path;
    const std::string of =
        targets_.size() > 1 ? (path.empty() ? "." : printable(path)) + ": " : std::string();
    warn_of_all(target.plan.warnings, of, task_.reporter);
    for (const std::string& note : target.plan.notes) task_.reporter.detail(of + note);
    warn_of_parted_ties(*input_.checkpoint, *target.state_dict, target.plan, task_.reporter);
    if (target.plan.changes_anything()) continue;
    for (const std::string& hint : prefix_hints(*input_.checkpoint, *target.state_dict)) {
      task_.reporter.warn(of + hint);
    }
  }
}

/// Rules that drop everything are a mistake, as a selection of nothing is in `mlc save`.
Status Job::check_not_emptied() const {
  for (const Target& target : targets_) {
    if (!target.plan.is_emptied()) continue;
    const std::string& path = target.state_dict->path;
    const size_t tensors = target.state_dict->entries.size();
    return usage_error("the rules leave no tensor of " + format_count(tensors) +
                           (path.empty() ? "" : " in " + printable(path)),
                       std::string("`mlc load` lists the keys; each option sees the names that "
                                   "those before it gave") +
                           (edit_.writing.dry_run ? "" : ", --dry-run shows them"))
        .in_file(task_.input);
  }
  return {};
}

Status Job::apply() {
  for (Target& target : targets_) {
    MLC_TRY(const AppliedPlan applied,
            apply_plan(*input_.checkpoint, *target.state_dict, target.plan));
    task_.reporter.detail(plural(applied.module_versions, "module version") + " followed");
    if (format_ != OutputFormat::torch_zip || applied.made_plain.empty()) continue;
    task_.reporter.warn(
        "split or joined of what is more than a tensor in Python, and plain tensors now, without "
        "class and attributes: " +
        join_list(sentence_keys(applied.made_plain)));
  }
  return {};
}

/// Only what changes can make it wrong.
Status Job::check_architecture() const {
  if (!changed_) return {};
  MLC_TRY(const auto metadata, metadata_to_carry(*input_.checkpoint));
  if (!metadata) return {};
  return check_embedded(*metadata, *input_.checkpoint, *targets_[0].state_dict, edit_.strict,
                        task_.reporter);
}

/// What the metadata says of quantised weights names their keys.
Status Job::follow_quantization() {
  MLC_TRY(quantized_, recorded_weights(*input_.checkpoint));
  if (!quantized_) return {};
  if (edit_.writing.in_place) {
    MLC_TRY(const auto inside, read_metadata(*input_.checkpoint));
    if (!inside) {
      return conflict("its sidecar names quantised weights, and stays as it is in an edit in place",
                      "write a new file with -o")
          .in_file(task_.input);
    }
  }
  for (const Target& target : targets_) {
    auto followed = followed_record(std::move(*quantized_), target.plan);
    if (!followed.ok()) return std::move(followed).error().in_file(task_.input);
    quantized_ = std::move(*followed);
  }
  return {};
}

void Job::follow_in_optimizers() {
  std::vector<PlannedStateDict> all;
  for (const StateDict& one : input_.state_dicts) {
    const auto target = std::find_if(targets_.begin(), targets_.end(),
                                     [&](const Target& other) { return other.state_dict == &one; });
    if (one.is_part && target == targets_.end()) continue;
    all.push_back({&one, target == targets_.end() ? nullptr : &target->plan});
  }
  const FollowedOptimizers followed = follow_optimizers(*input_.checkpoint, all);
  task_.reporter.detail(plural(followed.renamed, "optimizer name") + " followed, " +
                        plural(followed.removed, "optimizer parameter") + " removed");
  if (format_ == OutputFormat::safetensors) return;
  warn_of_optimizers(followed, task_.reporter);
  warn_of_parted_state_dicts(*input_.checkpoint, all, task_.reporter);
}

/// Where the output goes and in which format, with everything that speaks against it. A name that
/// tells no format leaves that of the input.
/// The index of a sharded checkpoint names the keys of each shard.
Status Job::check_no_shard() const {
  const auto& shard = input_.shard;
  if (!shard || edit_.writing.force) return {};
  return conflict("is shard " + shard->number + ", whose keys " + quoted(shard->index) +
                      " names: an edit in place would part them",
                  "-o DIR with the index as input edits all shards; --force edits this one alone")
      .in_file(task_.input);
}

Status Job::aim() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  if (!edit_.writing.in_place && is_yaml_path(task_.output)) {
    return usage_error("the output would be a checkpoint under the name " + quoted(task_.output),
                       "name it .pt or .safetensors");
  }
  const auto named = output_format_of(task_.output, "");
  to_folder_ = checkpoint.format == Format::sharded && !edit_.writing.in_place && !named.ok();
  if (edit_.writing.in_place) {
    MLC_TRY(format_, format_in_place(checkpoint, {}, Elsewhere::folder));
    if (!only_names_change(input_, targets_)) MLC_CHECK(check_no_modules(input_));
    MLC_CHECK(check_no_shard());
    return check_replaceable(checkpoint, task_.output, edit_.writing);
  }
  if (!to_folder_) MLC_CHECK(refuse_folder(task_.output));
  if (to_folder_ && task_.output.ends_with(".json")) {
    return usage_error(
        "the output is a folder of shards, and " + quoted(task_.output) + " is the name of a file",
        "-o names the folder, or one file .pt or .safetensors");
  }
  const bool safetensors = checkpoint.format == Format::safetensors;
  format_ = safetensors ? OutputFormat::safetensors : OutputFormat::torch_zip;
  if (named.ok()) format_ = *named;
  if (targets_.size() > 1 && format_ == OutputFormat::safetensors) {
    return usage_error("a safetensors file holds one state_dict, --key '*' chose " +
                           std::to_string(targets_.size()),
                       "choose one, or write a .pt");
  }
  if (checkpoint.format == Format::dcp && !named.ok() && !task_.output.empty()) {
    return usage_error("the output is one file, not a DCP folder, and its name " +
                           quoted(task_.output) + " does not say of which format",
                       "name it .pt or .safetensors with -o")
        .in_file(checkpoint.path);
  }
  return {};
}

/// A dry run refuses what the run would.
Status Job::rehearse(bool names_only) {
  const std::string place = place_to_check(task_.output, edit_.writing);
  if (!names_only || format_ != OutputFormat::torch_zip) MLC_CHECK(read_tensors());
  if (to_folder_) {
    MLC_TRY(report_, plan_sharded(*input_.checkpoint, named_tensors(*targets_[0].state_dict), place,
                                  shard_options({})));
    return {};
  }
  MLC_CHECK(replace_modules(input_, task_.reporter));
  SaveOptions save;
  save.format = format_;
  save.output = edit_.writing.output_options();
  MLC_TRY(report_, plan_checkpoint(*input_.checkpoint, targets_[0].state_dict, place, save));
  warn_of_left_out();
  return {};
}

/// As write() does, where it does not leave the bytes to the kernel.
Status Job::read_tensors() const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  const bool tensors_only = to_folder_ || format_ == OutputFormat::safetensors;
  return rehearse_storages(checkpoint,
                           tensors_only ? named_tensors(*targets_[0].state_dict)
                                        : all_tensors(checkpoint, checkpoint.root),
                           edit_.threads);
}

/// Shards become shards of about the same size in the folder that the output names.
ShardOptions Job::shard_options(const std::optional<std::string>& yaml) const {
  ShardOptions shards;
  // By their tensors: a file counts its header too, and few small tensors would fit one shard.
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> sizes;
  uint64_t largest = 1;
  for (const Storage& storage : input_.checkpoint->storages) {
    if (storage.archive == kNoIndex && storage.file == kNoIndex) continue;  // made by the rules
    uint64_t& size = sizes[{storage.archive, storage.file}];
    size += storage.byte_size();
    largest = std::max(largest, size);
  }
  for (const auto& file : input_.checkpoint->files) {
    if (!file->path().ends_with(".safetensors") && !file->path().ends_with(".json")) {
      shards.format = OutputFormat::torch_zip;
    }
  }
  shards.max_shard_bytes = largest;
  shards.metadata_yaml = yaml;
  shards.threads = edit_.threads;
  shards.output = edit_.writing.output_options();
  return shards;
}

Status Job::write_shards(const std::optional<std::string>& yaml) {
  MLC_TRY(const ShardSummary summary,
          write_sharded(*input_.checkpoint, named_tensors(*targets_[0].state_dict), task_.output,
                        shard_options(yaml), task_.reporter));
  file_size_ = summary.file_bytes;
  report_.aliases = summary.aliases;
  report_.overlaps = summary.overlaps;
  warn_of_overlaps(report_, task_.reporter);
  return {};
}

/// A file that is edited in place keeps its sidecar.
Result<std::optional<std::string>> Job::carried_metadata() const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  const bool in_place = edit_.writing.in_place;
  MLC_TRY(auto metadata, in_place ? read_metadata(checkpoint) : metadata_to_carry(checkpoint));
  if (metadata && quantized_) {
    MLC_CHECK(metadata->set_value("quantization", to_meta(*quantized_)));
  }
  std::optional<std::string> yaml =
      with_provenance(std::move(metadata), edit_.verb, edit_.provenance);
  if (!in_place) warn_of_sidecar(task_.output, yaml, task_.reporter);
  return yaml;
}

Status Job::write_names() {
  Checkpoint& checkpoint = *input_.checkpoint;
  ZipEdit change;
  MLC_TRY(change.pickle, pickle::write(checkpoint.graph, checkpoint.root));
  MLC_TRY(change.metadata_yaml, carried_metadata());
  if (edit_.writing.in_place) {
    MLC_CHECK(edit_zip_in_place(checkpoint, change, edit_.writing.force));
    file_size_ = checkpoint.files[0]->size();
    return {};
  }
  MLC_TRY(OutputFile out, OutputFile::create(task_.output, edit_.writing.output_options()));
  MLC_CHECK(rewrite_zip(checkpoint, change, out));
  file_size_ = out.position();
  return out.publish(checkpoint.files);
}

Status Job::write(bool names_only) {
  Checkpoint& checkpoint = *input_.checkpoint;
  written_ = true;
  if (to_folder_) {
    MLC_TRY(const auto yaml, carried_metadata());
    return write_shards(yaml);
  }
  if (names_only && format_ == OutputFormat::torch_zip) return write_names();
  MLC_CHECK(replace_modules(input_, task_.reporter));
  SaveOptions save;
  save.format = format_;
  save.threads = edit_.threads;
  save.output = edit_.writing.output_options();
  MLC_TRY(save.metadata_yaml, carried_metadata());
  MLC_TRY(report_,
          save_checkpoint(checkpoint, targets_[0].state_dict, task_.output, save, task_.reporter));
  file_size_ = report_.file_size;
  warn_of_index_metadata(checkpoint, task_.reporter);
  warn_of_left_out();
  return {};
}

void Job::warn_of_left_out() {
  warn_of_overlaps(report_, task_.reporter);
  if (report_.left_out.empty()) return;
  task_.reporter.warn("safetensors holds the tensors of a state_dict only; left out: " +
                      join_list(describe_values(*input_.checkpoint, report_.left_out)));
}

PlanCounts Job::counts() const {
  PlanCounts sum;
  for (const Target& target : targets_) {
    const PlanCounts one = target.plan.counts();
    sum.untouched += one.untouched;
    sum.renamed += one.renamed;
    sum.dropped += one.dropped;
    sum.split += one.split;
    sum.concatenated += one.concatenated;
    sum.transposed += one.transposed;
  }
  return sum;
}

std::string Job::summary(bool skipped) const {
  const PlanCounts sum = counts();
  std::vector<std::string> parts;
  const auto add = [&parts](uint64_t count, std::string_view what) {
    if (count > 0) parts.push_back(format_count(count) + " " + std::string(what));
  };
  add(sum.renamed, "renamed");
  add(sum.dropped, "dropped");
  add(sum.split, "split");
  add(sum.concatenated, "joined");
  add(sum.transposed, "transposed");
  add(sum.untouched, "untouched");
  std::string keys = parts.empty() ? "no tensors" : join_list(parts);
  if (edit_.writing.dry_run) return "dry run: " + keys + "; nothing was written";
  if (skipped) return "nothing to change; nothing was written";
  if (edit_.writing.in_place) return "edited " + output_text(task_.input) + " in place: " + keys;
  if (!changed_) keys = "nothing to change, " + keys;
  return "wrote " + output_text(task_.output) + ": " + keys + ", " + format_bytes(file_size_) +
         tied_text(report_) +
         (to_folder_ ? companions_text(*input_.checkpoint, task_.output) : std::string());
}

void Job::answer_json() {
  JsonWriter json(task_.out, task_.json_layout());
  json.begin_object();
  json.field("schema", "mlc." + edit_.verb + "/1");
  json.field("input", task_.input);
  json.field("output", written_ ? task_.output : "");
  json.field("dry_run", edit_.writing.dry_run);
  json.field("written", written_);
  json.field("changed", changed_);
  const PlanCounts sum = counts();
  json.key("counts");
  json.begin_object();
  json.field("renamed", sum.renamed);
  json.field("dropped", sum.dropped);
  json.field("split", sum.split);
  json.field("joined", sum.concatenated);
  json.field("transposed", sum.transposed);
  json.field("untouched", sum.untouched);
  json.end_object();
  static constexpr std::string_view kOps[] = {"keep", "rename", "split", "concat", "transpose"};
  json.key("keys");
  json.begin_array();
  for (const Target& target : targets_) {
    for (const PlanItem& item : target.plan.items) {
      if (item.op == PlanItem::Op::keep) continue;
      json.begin_object();
      json.field("state_dict", target.state_dict->path);
      std::vector<std::string> sources;
      for (const uint32_t source : item.sources) sources.push_back(target.plan.names[source]);
      json.list("from", sources);
      json.field("to", item.name);
      json.field("op", kOps[static_cast<size_t>(item.op)]);
      json.end_object();
    }
    for (const DroppedKey& dropped : target.plan.dropped) {
      json.begin_object();
      json.field("state_dict", target.state_dict->path);
      json.list("from", std::vector<std::string>{target.plan.names[dropped.source]});
      json.key("to");
      json.null();
      json.field("op", "drop");
      json.end_object();
    }
  }
  json.end_array();
  json.end_object();
}

/// What changes of PLAN, in its order; where a file sorts its keys as texts, layers.2 before
/// layers.10.
std::vector<const PlanItem*> changes_to_list(const Plan& plan) {
  std::vector<const PlanItem*> out;
  for (const PlanItem& item : plan.items) {
    if (item.op != PlanItem::Op::keep) out.push_back(&item);
  }
  if (!std::ranges::is_sorted(plan.names)) return out;
  std::ranges::stable_sort(out, [&](const PlanItem* a, const PlanItem* b) {
    return natural_less(plan.names[a->sources[0]], plan.names[b->sources[0]]);
  });
  return out;
}

/// The answer of a dry run is the plan; otherwise the file is.
void Job::answer() {
  if (task_.json) return answer_json();
  if (!edit_.writing.dry_run) return;
  for (const Target& target : targets_) {
    if (targets_.size() > 1) {
      task_.out.write("# " + printable(target.state_dict->path) + "\n");
    }
    for (const PlanItem* item : changes_to_list(target.plan)) {
      task_.out.write(describe(*item, target.plan) + "\n");
    }
    for (const DroppedKey& dropped : target.plan.dropped) {
      task_.out.write(describe(dropped, target.plan) + "\n");
    }
  }
}

}  // namespace

Result<FileReport> edit_keys(FileTask& task, const KeyEdit& edit) {
  return Job(task, edit).run();
}

}  // namespace mlc::cli
