#include "compress/quantize_script.h"

#include "compress/compress_report.h"
#include "compress/judge_models.h"
#include "compress/layer_samples.h"
#include "compress/max_drop.h"
#include "compress/quantize_script_view.h"
#include "compress/sample_warnings.h"
#include "compress/script_inputs.h"
#include "files/metadata_sources.h"
#include "files/provenance_options.h"
#include "files/unused_patterns.h"
#include "mlc/base/glob.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/extra_files.h"
#include "mlc/engine/machine.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/stored_inputs.h"
#include "models/engine_options.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr double kLeastCosine = 0.99;

using Names = std::set<std::string, std::less<>>;  // of weights

/// What CODES of activations stand for: 0 is always in the range, and exact.
ActivationScale activation_scale(onnx::ValueBounds bounds, double codes) {
  const double low = std::min(bounds.low, 0.0F);
  const double high = std::max(bounds.high, 0.0F);
  if (low == high) return {};
  const double scale = (high - low) / codes;
  return {scale, static_cast<int64_t>(std::nearbyint(-low / scale))};
}

bool matches_any(const std::vector<std::string>& globs, const std::string& name) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, name); });
}

class Job {
 public:
  Job(FileTask& task, const QuantizeScriptOptions& options, const QuantizeOnnxOptions& graph,
      const QuantizeOnnxShared& shared)
      : task_(task), options_(options), graph_(graph), shared_(shared) {}

  Result<FileReport> run();

 private:
  Status check_usage();
  Status check_engine();
  Status open();
  Status open_samples(const Signature& signature);
  Result<std::unique_ptr<Model>> load(Purpose purpose) const;
  JudgeOptions samples() const;
  Status reach_drop(Model& model, const std::string& place);
  ScriptQuantOptions quant_options(const Names& floats);
  Status observe(size_t id, std::span<const float> values);
  Result<ActivationScale> scale_of(size_t id);
  Result<ExtraFiles> extra_files() const;
  Status check_globs() const;
  Status tell_nothing() const;
  Result<ScriptQuantReport> write_model(Model& model, const Names& floats, const ExtraFiles& extra,
                                        OutputFile& out);
  Status blame_sample(Model& model, uint64_t i) const;
  Status quantize(Model& model, const std::string& place, OutputFile& out);
  void warn_of_ranges() const;
  Status write();
  Status judge(const OutputFile& out);
  Status write_report(std::string_view refused) const;

  FileTask& task_;
  const QuantizeScriptOptions& options_;
  const QuantizeOnnxOptions& graph_;
  const QuantizeOnnxShared& shared_;
  JudgeGates gates_;
  std::optional<Artefact> source_;
  std::unique_ptr<Engine> engine_;
  std::vector<InputSpec> specs_;
  std::optional<CalibrationData> data_;
  std::optional<uint64_t> running_;             // the last sample that was given to the model
  std::map<size_t, onnx::Observer> observers_;  // of activations
  std::set<size_t> asked_;                      // activations of the last plan
  QuantizeScriptAnswer answer_;

  friend class ScriptDropSubject;
};

/// A model as --max-drop tries it: samples are run once for the ranges of all trials.
class ScriptDropSubject : public DropSubject {
 public:
  /// MODEL is quantised for files beside PLACE.
  ScriptDropSubject(Job& job, Model& model, const std::string& place)
      : job_(job), model_(model), place_(place + ".trial") {}

  Result<std::unique_ptr<Model>> source() override { return job_.load(Purpose::repeated); }
  Result<DropTrial> make(const Undone& undone) override;

 private:
  Job& job_;
  Model& model_;
  std::string place_;
};

Status Job::check_usage() {
  if (graph_.form || graph_.symmetric || graph_.block || graph_.float_ends ||
      !graph_.stats.empty() || shared_.rounding) {
    return usage_error(
        "--onnx, --block, --symmetric, --float-ends, --stats and --rounding do not go with "
        "--torchscript");
  }
  if (shared_.writing.in_place)
    return usage_error("--torchscript does not write in place", "-o FILE gives it a new name");
  const bool is_static = options_.form == ScriptForm::with_ranges;
  if (!is_static && ((!graph_.calib.empty() && !graph_.max_drop) || graph_.method))
    return usage_error("--calib and --calib-method are for --torchscript static",
                       "with --max-drop --calib has the samples that outputs are compared on");
  if (is_static && graph_.calib.empty())
    return usage_error("--torchscript static needs samples: --calib FILE is missing",
                       "a .npy, .npz, .pt or .safetensors whose tensors have the inputs' names, or "
                       "--torchscript dynamic, which needs none");
  if (!task_.output.empty() && !task_.output.ends_with(".pt"))
    return usage_error(
        "the output would be a TorchScript file under the name " + quoted(task_.output),
        "name it .pt");
  MLC_CHECK(check_sample_options(graph_));
  MLC_CHECK(check_drop_options(graph_));
  MLC_CHECK(judge_wish(graph_, shared_));
  answer_.form = to_string(options_.form);
  answer_.reduced = graph_.reduce_range;
  answer_.dry_run = shared_.writing.dry_run;
  const bool cuts_sums = adds_products_in_16_bits(this_cpu()) && !graph_.reduce_range;
  // With a goal that says what may be lost.
  const double least = graph_.max_drop ? -1 : kLeastCosine;
  gates_ = {least, shared_.min_sqnr, graph_.require_speedup, cuts_sums};
  return read_min_cosine(graph_, gates_.least_cosine);
}

/// Before anything is read that takes time: some builds of LibTorch multiply no bytes.
Status Job::check_engine() {
  MLC_TRY(engine_, open_engine(EngineKind::torch));
  MLC_TRY(const EngineInfo info, engine_->info());
  if (!info.quantized_engines.empty()) return {};
  return unsupported(engine_->title() + " has no engine that multiplies bytes",
                     "quantise the weights alone, without --torchscript, or an ONNX model");
}

Status Job::open() {
  const ArtefactOptions how{options_.architecture, options_.key};
  MLC_TRY(Artefact source, Artefact::open(task_.input, how, task_.reporter));
  if (source.exported() != nullptr)
    return unsupported("it is a .pt2, whose program --torchscript does not read",
                       "`mlc trace` makes TorchScript of it first");
  if (!source.has_architecture() && !options_.architecture.empty())
    return usage_error("it has a program of its own, which --arch cannot replace");
  MLC_CHECK(source.check_whole(task_.threads, task_.reporter));
  MLC_TRY(answer_.input_bytes, source.file_bytes());
  EngineOptions inputs;
  inputs.inputs = graph_.inputs;
  MLC_TRY(specs_, choose_inputs(inputs, source));
  source_.emplace(std::move(source));
  return {};
}

/// Names and, where the file tells them, types of the inputs are known then.
Status Job::open_samples(const Signature& signature) {
  if (graph_.calib.empty()) {
    if (graph_.no_verify) return {};
    if (specs_.empty()) {
      specs_ = traced_inputs(signature);
      if (!specs_.empty()) answer_.assumed = "the sizes it was traced with";
    }
    return match_inputs(signature, specs_);
  }
  MLC_TRY(data_,
          CalibrationData::open(graph_.calib, calibration_inputs(signature, {}), task_.reporter));
  const bool ranges = options_.form == ScriptForm::with_ranges;
  warn_of_samples(*data_, ranges ? "for ranges" : "of inputs", task_.reporter);
  // What the file says of its inputs: those of the samples.
  if (!specs_.empty()) return {};
  MLC_TRY(specs_, sampled_inputs(*data_));
  return {};
}

Result<std::unique_ptr<Model>> Job::load(Purpose purpose) const {
  LoadOptions how;
  how.threads = task_.threads;
  how.purpose = purpose;
  return source_->load(*engine_, how, task_.reporter);
}

JudgeOptions Job::samples() const {
  return judge_options(specs_, data_ ? &*data_ : nullptr, graph_.samples, graph_.seed.value_or(0),
                       task_.threads, task_.reporter);
}

Status Job::observe(size_t id, std::span<const float> values) {
  if (graph_.method.value_or(onnx::RangeMethod::minmax) == onnx::RangeMethod::minmax) {
    observers_[id].add_bounds(values);
  } else {
    observers_[id].add(values);
  }
  return {};
}

Result<ActivationScale> Job::scale_of(size_t id) {
  constexpr double kCodes = 255;
  constexpr double kReduced = 127;
  asked_.insert(id);
  const auto found = observers_.find(id);
  if (found == observers_.end()) return ActivationScale{};
  const onnx::Observer& observer = found->second;
  if (observer.not_finite() > 0)
    return conflict("an activation has " + plural(observer.not_finite(), "value") +
                    " that are not finite");
  const auto method = graph_.method.value_or(onnx::RangeMethod::minmax);
  return activation_scale(observer.range(method, graph_.percentile.value_or(kUsualPercentile)),
                          answer_.reduced ? kReduced : kCodes);
}

/// FLOATS: weights that stay.
ScriptQuantOptions Job::quant_options(const Names& floats) {
  ScriptQuantOptions out;
  out.with_ranges = options_.form == ScriptForm::with_ranges;
  out.embeddings = !graph_.no_embeddings;
  out.reduce_range = graph_.reduce_range;
  // In a convolution of few weights there can be many multiplications.
  out.min_elements = shared_.min_elements.value_or(out.with_ranges ? 0 : out.min_elements);
  out.wanted = [this, floats](const std::string& name) {
    return !floats.contains(name) &&
           (shared_.include.empty() || matches_any(shared_.include, name)) &&
           !matches_any(shared_.exclude, name);
  };
  if (!data_) return out;
  out.samples.count = data_->samples();
  out.samples.at = [this](uint64_t i) -> Result<std::vector<NamedValue>> {
    if (task_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    task_.reporter.advance(1);
    running_ = i;
    return data_->sample(i);
  };
  asked_.clear();
  out.is_known = [this](size_t id) { return observers_.contains(id); };
  out.observe = [this](size_t id, std::span<const float> values) { return observe(id, values); };
  out.scale_of = [this](size_t id) { return scale_of(id); };
  return out;
}

Result<ExtraFiles> Job::extra_files() const {
  MLC_TRY(auto metadata, metadata_to_carry(source_->checkpoint()));
  ProvenanceOptions given;
  given.text("torchscript", answer_.form).flag("no-embeddings", graph_.no_embeddings);
  given.flag("reduce-range", graph_.reduce_range).list("include", shared_.include);
  given.list("exclude", shared_.exclude).text("max-drop", graph_.max_drop.value_or(""));
  if (graph_.method) given.text("calib-method", onnx::to_string(*graph_.method));
  MLC_TRY(CarriedFiles carried, carried_files(source_->checkpoint()));
  ExtraFiles files = std::move(carried.files);
  if (!carried.left_out.empty()) {
    task_.reporter.warn("the new file lacks extra files, which hold above 256 MiB: " +
                        join_list(carried.left_out));
  }
  if (data_ || !specs_.empty()) {
    MLC_TRY(const auto inputs, samples().inputs(0));
    MLC_TRY(const StoredInputs kept, store_inputs(specs_, inputs, std::nullopt));
    files.insert(files.end(), kept.files.begin(), kept.files.end());
  }
  const auto yaml = with_provenance(std::move(metadata), "quantize", given);
  if (yaml) files.emplace_back("mlc/metadata.yaml", *yaml);
  return files;
}

Status Job::judge(const OutputFile& out) {
  if (graph_.no_verify) {
    answer_.not_verified = "--no-verify";
    return {};
  }
  MLC_TRY(const auto before, load(Purpose::repeated));
  LoadOptions how;
  how.threads = task_.threads;
  how.purpose = Purpose::repeated;
  MLC_TRY_CTX(const auto after,
              engine_->load(fmt::format("/proc/self/fd/{}", out.fd()), how, null_reporter()),
              "reading the new file back");
  return judge_models(*engine_, *before, *after, samples(), task_.reporter, answer_);
}

Status Job::write_report(std::string_view refused) const {
  if (shared_.report.empty() || shared_.writing.dry_run) return {};
  return write_html(quantized_script_html(answer_, task_, refused), shared_.report,
                    shared_.writing.output_options(), source_->checkpoint().files);
}

Status Job::check_globs() const {
  std::vector<std::string> names;
  for (const ScriptLayer& one : answer_.report.layers) names.push_back(one.weight);
  for (const ScriptKept& one : answer_.report.kept) names.push_back(one.weight);
  std::vector<UnusedPattern> unused = unused_globs("--include", shared_.include, names);
  for (UnusedPattern& one : unused_globs("--exclude", shared_.exclude, names))
    unused.push_back(std::move(one));
  return refuse_unused(unused, names, task_);
}

/// Batches go on with a model that has nothing to quantise.
Status Job::tell_nothing() const {
  if (!answer_.report.layers.empty()) return {};
  const auto& kept = answer_.report.kept;
  const ScriptKept first = kept.empty() ? ScriptKept() : kept.front();
  const std::string why = nothing_to_quantise(first.weight, first.reason, kept.size());
  const std::string hint =
      options_.form == ScriptForm::with_ranges
          ? "--min-elements 0 takes small weights"
          : "--min-elements 0 takes small weights, --torchscript static with --calib convolutions";
  if (graph_.require_speedup) return conflict(why + ", so it is no faster", hint);
  task_.reporter.warn(why + "; " + hint);
  return {};
}

Result<DropTrial> ScriptDropSubject::make(const Undone& undone) {
  MLC_TRY(OutputFile file, OutputFile::create(place_, {.replace = true, .sync = false, .mode = 0}));
  const auto out = std::make_shared<OutputFile>(std::move(file));
  MLC_TRY(const ScriptQuantReport report, job_.write_model(model_, undone.floats, {}, *out));
  MLC_CHECK(out->flush());
  DropTrial trial;
  trial.file = out;
  for (const ScriptLayer& layer : report.layers) trial.layers.push_back({layer.weight});
  LoadOptions how;
  how.threads = job_.task_.threads;
  how.purpose = Purpose::repeated;
  MLC_TRY_CTX(trial.model,
              job_.engine_->load(fmt::format("/proc/self/fd/{}", out->fd()), how, null_reporter()),
              "reading a trial back");
  return trial;
}

/// FLOATS: weights that stay.
Result<ScriptQuantReport> Job::write_model(Model& model, const Names& floats,
                                           const ExtraFiles& extra, OutputFile& out) {
  const bool runs = options_.form == ScriptForm::with_ranges;
  const ProgressScope progress(task_.reporter, "calibrating (samples)",
                               runs ? data_->samples() : 0);
  running_.reset();
  auto report = model.write_quantized(quant_options(floats), extra,
                                      [&out](Bytes bytes) { return out.write(bytes); });
  if (!report.ok() && running_) MLC_CHECK(blame_sample(model, *running_));
  return report;
}

/// An error where MODEL does not take sample I as it is either.
Status Job::blame_sample(Model& model, uint64_t i) const {
  MLC_TRY(const auto inputs, data_->sample(i));
  Status ran = model.set_inputs(inputs);
  if (ran.ok()) ran = model.run();
  if (ran.ok() || ran.error().kind() == ErrorKind::interrupted) return ran;
  std::vector<std::string> given;
  for (const NamedValue& value : inputs)
    given.push_back(quoted(value.name) + " " + describe(value.tensor.dtype, value.tensor.sizes));
  std::vector<std::string> files;
  for (const std::string& file : graph_.calib) files.push_back(printable(file));
  return usage_error("calibration data: the model does not take sample " + std::to_string(i) +
                         " of " + join_list(files) + ", " + join_list(given) + ": " +
                         ran.error().message(),
                     "the first dimension of each tensor counts samples, the others are those of "
                     "the input");
}

/// Finds the layers that outputs do not allow.
Status Job::reach_drop(Model& model, const std::string& place) {
  MLC_TRY(const DropWish wish, read_drop_wish(graph_, task_.reporter));
  ScriptDropSubject subject(*this, model, place);
  MLC_TRY(answer_.drop, mlc::cli::reach_drop(subject, samples(), wish, task_.reporter));
  return {};
}

Status Job::quantize(Model& model, const std::string& place, OutputFile& out) {
  MLC_TRY(const ExtraFiles extra, extra_files());
  if (graph_.max_drop) MLC_CHECK(reach_drop(model, place));
  Names floats;
  if (answer_.drop) floats.insert(answer_.drop->in_floats.begin(), answer_.drop->in_floats.end());
  MLC_TRY(answer_.report, write_model(model, floats, extra, out));
  for (ScriptKept& kept : answer_.report.kept)
    if (floats.contains(kept.weight)) kept.reason = "in floats for the outputs' sake";
  return {};
}

void Job::warn_of_ranges() const {
  std::vector<onnx::ValueBounds> bounds;
  for (const size_t id : asked_) {
    const auto found = observers_.find(id);
    if (found != observers_.end()) bounds.push_back(found->second.bounds());
  }
  warn_of_no_range(bounds, task_.reporter);
}

Status Job::write() {
  MLC_TRY(const auto model, load(Purpose::once));
  MLC_CHECK(open_samples(model->signature()));
  const std::string place = task_.output.empty() ? task_.input : task_.output;
  MLC_TRY(OutputFile out,
          OutputFile::create(place, task_.output.empty()
                                        ? OutputOptions{.replace = true, .sync = false, .mode = 0}
                                        : shared_.writing.output_options()));
  MLC_CHECK(quantize(*model, place, out));
  MLC_CHECK(check_globs());
  MLC_CHECK(tell_nothing());
  warn_of_ranges();
  MLC_CHECK(out.flush());
  answer_.file_bytes = out.position();
  answer_.cuts_sums = gates_.cuts_sums;
  MLC_CHECK(judge(out));
  Status passed = check_drop(answer_.drop, gates_.cuts_sums);
  if (passed.ok()) passed = check_judgement(answer_, gates_, task_.reporter);
  if (!passed.ok()) {
    MLC_CHECK(write_report(passed.error().message()));
    return passed;
  }
  if (gates_.cuts_sums) {
    task_.reporter.warn(std::string(kCutSums) +
                        "cuts large sums: outputs can be worse here than elsewhere; "
                        "--reduce-range avoids that");
  }
  if (shared_.writing.dry_run) return {};
  return out.publish(source_->checkpoint().files);
}

Result<FileReport> Job::run() {
  MLC_CHECK(check_usage());
  MLC_CHECK(check_engine());
  const auto in_file = [this](Status status) {
    return status.ok() ? Status() : Status(std::move(status).error().in_file(task_.input));
  };
  MLC_CHECK(in_file(open()));
  MLC_CHECK(in_file(write()));
  MLC_CHECK(write_report(""));
  show_quantized_script(answer_, task_);
  return FileReport{ExitCode::done, quantized_script_summary(answer_, task_)};
}

}  // namespace

std::string_view to_string(ScriptForm form) {
  return form == ScriptForm::dynamic ? "dynamic" : "static";
}

Result<FileReport> quantize_script(FileTask& task, const QuantizeScriptOptions& options,
                                   const QuantizeOnnxOptions& graph,
                                   const QuantizeOnnxShared& shared) {
  return Job(task, options, graph, shared).run();
}

}  // namespace mlc::cli
