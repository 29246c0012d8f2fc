#include "compress/quantize_checkpoint.h"

#include "compress/compress_report.h"
#include "compress/layer_samples.h"
#include "compress/quantize_view.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "files/open_input.h"
#include "files/provenance_options.h"
#include "files/unused_patterns.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/planned_size.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/tried_edit.h"
#include "mlc/compress/compressed_tensors.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/compress/input_scales.h"
#include "mlc/compress/quantize.h"

#include <algorithm>

namespace mlc::cli {
namespace {

class Job {
 public:
  Job(FileTask& task, const QuantizeRequest& options, const QuantRecipe& recipe)
      : task_(task), options_(options), recipe_(recipe) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, task_.reporter));
    MLC_CHECK(choose());
    MLC_TRY(metadata_, metadata_to_carry(*input_.checkpoint));
    MLC_CHECK(undo_earlier());
    MLC_CHECK(plan());
    MLC_CHECK(decide());
    MLC_CHECK(write());
    MLC_CHECK(write_recipe());
    MLC_CHECK(write_config());
    const QuantizeAnswer answer = this->answer();
    MLC_CHECK(write_report(answer));
    show_quantized(answer, task_);
    return FileReport{ExitCode::done, quantized_summary(answer, task_)};
  }

 private:
  Status choose();
  Status undo_earlier();
  Status refuse_earlier(const std::vector<std::string>& quantized) const;
  Status plan();
  Status decide();
  Status round_by_samples();
  Result<uint64_t> file_size(const QuantizePlan& plan);
  Result<QuantGoals> goals();
  bool quantizes() const;
  Status tell_nothing() const;
  Status refuse_fallbacks() const;
  Result<SaveOptions> save_options(const QuantizedRecord& record) const;
  Status write();
  Status save(SaveOptions save);
  Status write_recipe();
  Status write_config();
  Status write_report(const QuantizeAnswer& answer) const;
  void warn_of_rest();
  ProvenanceOptions provenance() const;
  QuantizeAnswer answer() const;
  uint64_t input_bytes() const;

  FileTask& task_;
  const QuantizeRequest& options_;
  const QuantRecipe& recipe_;
  Input input_;
  StateDict* state_dict_ = nullptr;
  OutputFormat format_ = OutputFormat::torch_zip;
  std::optional<Metadata> metadata_;
  QuantizePlan plan_;
  std::optional<DataRounding> by_data_;
  SaveReport saved_;
};

Status Job::choose() {
  MLC_TRY(format_, format_of_output(input_, task_.output, options_.writing));
  MLC_TRY(state_dict_, choose_state_dict(input_, options_.key));
  if (options_.format == QuantFormat::compressed_tensors && !task_.output.empty() &&
      format_ != OutputFormat::safetensors) {
    return usage_error("compressed-tensors is a layout of safetensors files",
                       "name the output .safetensors");
  }
  if (format_ == OutputFormat::safetensors && options_.compress == DeflateZeros::deflate)
    return usage_error("safetensors files hold nothing deflated", "write a .pt");
  return ready_for_weights(input_, *state_dict_, options_.weights_only, task_.output,
                           task_.reporter);
}

/// Quantised weights become float ones again first, where that was allowed.
Status Job::undo_earlier() {
  MLC_CHECK(refuse_earlier(quantized_by_torch(*input_.checkpoint, *state_dict_)));
  if (!metadata_) return {};
  MLC_TRY(const auto record, quantized_record(*metadata_));
  if (!record) return {};
  if (!options_.allow_requantize) {
    return conflict("the weights are quantised already, " +
                        plural(record->tensors.size(), "tensor") + " of them",
                    "quantise the original, or add --allow-requantize to lose more")
        .in_file(task_.input);
  }
  MLC_CHECK(check_storages(*input_.checkpoint, named_tensors(*state_dict_), task_.threads));
  MLC_CHECK(restore_weights(*input_.checkpoint, *state_dict_, *record));
  return metadata_->remove("quantization").ok() ? Status() : internal_error("metadata");
}

/// Those of PyTorch, which have no record.
Status Job::refuse_earlier(const std::vector<std::string>& quantized) const {
  if (quantized.empty() || options_.allow_requantize) return {};
  std::vector<std::string> names;
  for (const std::string& name : quantized) names.push_back(sentence_key(name));
  return conflict("PyTorch has quantised " + plural(quantized.size(), "tensor") +
                      " of it already: " + join_list(names, 3),
                  "quantise the original; --allow-requantize quantises the others and keeps "
                  "these as they are")
      .in_file(task_.input);
}

Status Job::plan() {
  auto plan = plan_quantization(*input_.checkpoint, *state_dict_, recipe_, options_.format);
  if (!plan.ok()) return std::move(plan).error().in_file(task_.input);
  plan_ = std::move(*plan);
  if (format_ == OutputFormat::torch_zip && !options_.weights_only) {
    add_tensors_in_values(*input_.checkpoint, *state_dict_, plan_);
  }
  std::vector<std::string> keys;
  for (const WeightPlan& weight : plan_.weights)
    keys.insert(keys.end(), weight.names.begin(), weight.names.end());
  return refuse_unused(plan_.unused_patterns, keys, task_);
}

/// Of the file that PLAN makes.
Result<uint64_t> Job::file_size(const QuantizePlan& plan) {
  const TriedEdit tried(*input_.checkpoint);
  StateDict state_dict = *state_dict_;
  MLC_TRY(const QuantizedRecord record, apply_quantization(*input_.checkpoint, state_dict, plan));
  MLC_TRY(const SaveOptions save, save_options(record));
  return planned_file_size(*input_.checkpoint, &state_dict, task_.output, save);
}

Result<QuantGoals> Job::goals() {
  QuantGoals goals;
  if (options_.min_sqnr) {
    MLC_TRY(goals.min_sqnr, parse_number("--min-sqnr", *options_.min_sqnr, -1000, 1000));
  }
  goals.max_bytes = options_.target_size;
  goals.file_size = [this](const QuantizePlan& plan) { return file_size(plan); };
  return goals;
}

Status Job::decide() {
  Checkpoint& checkpoint = *input_.checkpoint;
  std::vector<NamedTensor> read;
  for (const WeightPlan& weight : plan_.weights) {
    if (weight.is_quantized()) read.push_back({weight.names[0], weight.tensor});
  }
  MLC_CHECK(check_storages(checkpoint, read, task_.threads));
  ScanOptions scan{options_.writing.dry_run, task_.threads};
  MLC_TRY(const QuantGoals wanted, goals());
  if (wanted.min_sqnr || wanted.max_bytes > 0) {
    MLC_TRY(const GoalReport reached, reach_goals(checkpoint, plan_, wanted, scan, task_.reporter));
    if (!reached.reached) {
      return conflict(reached.shortfall + "; nothing was written",
                      "a larger --target-size, a lower --min-sqnr, fewer tensors kept, or "
                      "--weights-only, which leaves out what is no weight")
          .in_file(task_.input);
    }
  }
  MLC_CHECK(scan_weights(checkpoint, plan_, scan, task_.reporter));
  MLC_CHECK(tell_nothing());
  if (goes_by_data(recipe_.rounding) && quantizes()) {
    MLC_CHECK(round_by_samples());
    scan.measure = true;  // reads what has other codes now: they may stand for too large numbers
    MLC_CHECK(scan_weights(checkpoint, plan_, scan, task_.reporter));
  }
  return refuse_fallbacks();
}

bool Job::quantizes() const {
  return std::ranges::any_of(plan_.weights, &WeightPlan::is_quantized);
}

/// Says why no tensor qualified; with --strict that is an error.
Status Job::tell_nothing() const {
  if (quantizes()) return {};
  const std::string why = "no tensor is quantised: " +
                          (plan_.weights.empty() ? "the checkpoint has none" : kept_counts(plan_));
  const bool small = std::ranges::any_of(
      plan_.weights, [](const WeightPlan& weight) { return weight.kept == Kept::small; });
  const std::string hint = small ? "--min-elements 1 takes small ones too" : "";
  if (options_.strict)
    return conflict(why + "; --strict writes nothing then", hint).in_file(task_.input);
  task_.reporter.warn(why + (small ? "; " + hint : "") +
                      (options_.write_config.empty() ? "" : "; --write-config writes nothing"));
  return {};
}

/// Runs the model of the checkpoint on the samples and rounds again what they tell of.
Status Job::round_by_samples() {
  const bool awq = recipe_.rounding == Rounding::awq;
  LayerSampleOptions how;
  how.architecture = options_.architecture;
  how.key = options_.key;
  how.calib = options_.onnx.calib;
  how.unseen =
      awq ? "they get the middle of the others' factors" : "their weights get the nearest codes";
  how.wanted = [this, awq](const std::string& name) {
    return std::ranges::any_of(plan_.weights, [&](const WeightPlan& weight) {
      return weight.quantizer != nullptr && (!awq || weight.scheme.kind == SchemeKind::int4) &&
             std::ranges::find(weight.names, name) != weight.names.end();
    });
  };
  MLC_TRY(const LayerSamples found, sample_layers(task_, how));
  const auto round = awq ? scale_by_data : mlc::round_by_data;
  MLC_TRY(const RoundingGain gain,
          round(*input_.checkpoint, plan_, found.sums, task_.threads, task_.reporter));
  if (gain.weights == 0 && awq && options_.target_size > 0) {
    task_.reporter.warn(
        "for that size no weight that a layer reads is int4: --rounding awq changes "
        "nothing");
    return {};
  }
  if (gain.weights == 0) {
    return conflict("no linear layer or convolution of the model reads a weight that is " +
                        std::string(awq ? "int4" : "quantised"),
                    "--rounding rtn needs no samples")
        .in_file(task_.input);
  }
  by_data_ = DataRounding{found.samples, gain};
  return {};
}

Status Job::refuse_fallbacks() const {
  const std::string text = fallback_text(plan_);
  if (text.empty()) return {};
  if (options_.strict) {
    return conflict("not every tensor can have its scheme, as --strict wants it: " + text +
                        "; nothing was written",
                    "--exclude or --tensor RE=SCHEME says what to do with them")
        .in_file(task_.input);
  }
  task_.reporter.warn("not quantised as asked: " + text);
  return {};
}

ProvenanceOptions Job::provenance() const {
  ProvenanceOptions out;
  out.text("key", options_.key).text("scheme", options_.scheme);
  if (options_.rounding) out.text("rounding", to_string(*options_.rounding));
  out.text("arch", options_.architecture).list("calib", options_.onnx.calib);
  out.list("tensor", options_.tensors).list("include", options_.include);
  out.list("exclude", options_.exclude).text("recipe", options_.recipe);
  out.text("min-elements", options_.min_elements.value_or(""));
  out.text("min-sqnr", options_.min_sqnr.value_or(""));
  if (options_.target_size > 0) {
    out.add("target-size", static_cast<int64_t>(options_.target_size));
  }
  out.flag("allow-requantize", options_.allow_requantize)
      .flag("weights-only", options_.weights_only);
  return out;
}

/// With RECORD in the metadata.
Result<SaveOptions> Job::save_options(const QuantizedRecord& record) const {
  Metadata metadata = metadata_.value_or(Metadata());
  // What reads a record takes the weights for quantised ones.
  if (!record.tensors.empty()) MLC_CHECK(metadata.set_value("quantization", to_meta(record)));
  SaveOptions save;
  save.format = format_;
  save.metadata_yaml = with_provenance(std::move(metadata), "quantize", provenance());
  save.threads = task_.threads;
  save.output = options_.writing.output_options();
  return save;
}

Status Job::write() {
  std::vector<std::string> deflated;
  if (format_ == OutputFormat::torch_zip) {
    MLC_TRY(deflated, names_to_deflate(*input_.checkpoint, plan_, options_.compress));
  }
  MLC_TRY(const QuantizedRecord record,
          apply_quantization(*input_.checkpoint, *state_dict_, plan_));
  MLC_TRY(SaveOptions save, save_options(record));
  save.deflated = storages_of_codes(*input_.checkpoint, *state_dict_, deflated);
  warn_of_rest();
  if (options_.writing.dry_run) {
    const std::string place = place_to_check(task_.output, options_.writing);
    MLC_TRY(saved_, plan_checkpoint(*input_.checkpoint, state_dict_, place, save));
    return {};
  }
  return this->save(std::move(save));
}

Status Job::save(SaveOptions save) {
  const bool whole = format_ == OutputFormat::torch_zip;
  const std::string key = !whole ? "" : state_dict_->path.empty() ? "." : state_dict_->path;
  // What is compared is the source as it was before tensors were exchanged: those of the plan.
  save.inspect = [&](const std::string& path) -> Status {
    MLC_CHECK(check_written(*input_.checkpoint, plan_, path, options_.weights_only ? "" : key,
                            task_.threads, task_.reporter));
    if (options_.target_size == 0) return {};
    MLC_TRY(const auto file, InputFile::open(path));
    if (file->size() <= options_.target_size) return {};
    return conflict("the file would have " + format_bytes(file->size()) + "; nothing was written",
                    "a --target-size that is a little smaller leaves room for what is no tensor");
  };
  MLC_TRY(saved_,
          save_checkpoint(*input_.checkpoint, state_dict_, task_.output, save, task_.reporter));
  return {};
}

/// What is kept beside the weights can be larger than they are.
void Job::warn_of_rest() {
  const bool codes = std::ranges::any_of(
      plan_.weights, [](const WeightPlan& weight) { return weight.scheme.is_integer(); });
  if (codes && metadata_ && metadata_->get("architecture") != nullptr) {
    task_.reporter.warn(
        "`mlc run` does not take this file: its architecture runs with what `mlc dequantize` "
        "makes of it");
  }
  const Checkpoint& checkpoint = *input_.checkpoint;
  const std::vector<std::string> beside = values_beside(checkpoint, *state_dict_);
  if (format_ == OutputFormat::safetensors) {
    if (beside.empty()) return;
    task_.reporter.warn("safetensors holds the tensors of a state_dict only; left out: " +
                        join_list(describe_values(checkpoint, beside)));
    return;
  }
  if (!quantizes()) return;
  std::vector<std::string> optimizers;
  for (const OptimizerState& one : find_optimizers(checkpoint)) optimizers.push_back(one.path);
  if (optimizers.empty()) return;
  task_.reporter.warn("kept as it was, for weights that are no more: " +
                      join_list(describe_values(checkpoint, optimizers)) +
                      "; --weights-only leaves it out");
}

Status Job::write_recipe() {
  if (options_.write_recipe.empty() || options_.writing.dry_run) return {};
  QuantRecipe done = recipe_;
  for (const WeightPlan& weight : plan_.weights) {
    // What the rules do not say: the choices of goals, and fallbacks.
    if (options_.target_size == 0 && !weight.is_fallback()) continue;
    const bool chosen = weight.kept == Kept::by_recipe || weight.kept == Kept::target_size;
    if (!weight.is_quantized() && !weight.is_fallback() && !chosen) continue;
    MLC_TRY(SchemeRule rule, make_scheme_rule(MatchKind::exact, weight.names[0], weight.scheme));
    done.rules.push_back(std::move(rule));
  }
  MLC_TRY(OutputFile out,
          OutputFile::create(options_.write_recipe, options_.writing.output_options()));
  MLC_CHECK(out.write(recipe_yaml(done)));
  return out.publish();
}

Status Job::write_config() {
  if (options_.write_config.empty() || options_.writing.dry_run || !quantizes()) return {};
  std::string config;
  const std::string folder = task_.input.substr(0, task_.input.rfind('/') + 1);
  const auto file = InputFile::open(folder + "config.json");
  if (file.ok()) {
    MLC_TRY(config, (*file)->read_string(0, (*file)->size()));
  }
  auto text = with_quantization_config(config, *input_.checkpoint, plan_);
  if (!text.ok()) return std::move(text).error().in_file(folder + "config.json");
  MLC_TRY(OutputFile out,
          OutputFile::create(options_.write_config, options_.writing.output_options()));
  MLC_CHECK(out.write(*text));
  return out.publish();
}

Status Job::write_report(const QuantizeAnswer& answer) const {
  if (options_.report.empty() || options_.writing.dry_run) return {};
  return write_html(quantized_html(answer, task_), options_.report,
                    options_.writing.output_options(), input_.checkpoint->files);
}

uint64_t Job::input_bytes() const {
  uint64_t bytes = 0;
  for (const auto& file : input_.checkpoint->files) bytes += file->size();
  return bytes;
}

QuantizeAnswer Job::answer() const {
  return {*input_.checkpoint,
          plan_,
          input_bytes(),
          format_ == OutputFormat::torch_zip ? "pt" : "safetensors",
          saved_,
          options_.writing.dry_run,
          by_data_};
}

}  // namespace

Result<double> parse_number(std::string_view option, const std::string& text, double least,
                            double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || end != text.c_str() + text.size() || !(value >= least && value <= most)) {
    return usage_error("not a number: " + mlc::quoted(text)).during(std::string(option));
  }
  return value;
}

Result<FileReport> quantize_checkpoint(FileTask& task, const QuantizeRequest& options,
                                       const QuantRecipe& recipe) {
  return Job(task, options, recipe).run();
}

}  // namespace mlc::cli
