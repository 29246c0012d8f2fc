#include "compress/quantize_onnx.h"

#include "compress/compress_report.h"
#include "compress/judge_models.h"
#include "compress/max_drop.h"
#include "compress/onnx_choices.h"
#include "compress/onnx_control.h"
#include "compress/onnx_defaults.h"
#include "compress/onnx_drop.h"
#include "compress/onnx_quantizer.h"
#include "compress/onnx_target_size.h"
#include "compress/quantize_onnx_view.h"
#include "compress/sample_warnings.h"
#include "files/provenance_options.h"
#include "files/unused_patterns.h"
#include "mlc/base/text.h"
#include "mlc/engine/onnx_artefact.h"
#include "mlc/onnx_edit/document.h"
#include "models/onnx_draft.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr std::array<std::pair<std::string_view, DropOf>, 2> kDrops = {
    {{"cosine", DropOf::cosine}, {"top1", DropOf::top1}}};
constexpr double kLeastCosine = 0.99;
constexpr double kLeastCosineInt4 = 0.95;  // what 4 bits of small models reach

bool multiplies_bytes(onnx::QuantForm form) {
  return form == onnx::QuantForm::dynamic || form == onnx::QuantForm::static_qdq;
}

class Job {
 public:
  Job(FileTask& task, const QuantizeOnnxOptions& options, const QuantizeOnnxShared& shared)
      : task_(task), options_(options), shared_(shared) {}

  Result<FileReport> run();

 private:
  Status check_usage();
  Status check_samples_have_a_use() const;
  Status open();
  Status check_globs() const;
  Status quantize();
  Status keep_source();
  Status reach_drop(OnnxQuantizer& quantizer, onnx::QuantOptions& how);
  JudgeOptions judge_samples() const;
  onnx::QuantOptions quant_options() const;
  Status add_metadata(onnx::Document& document) const;
  Status write();
  Status write_recipe() const;
  Status judge(const OnnxDraft& draft);
  Status gates() const;
  Status write_report(std::string_view refused) const;

  FileTask& task_;
  const QuantizeOnnxOptions& options_;
  const QuantizeOnnxShared& shared_;
  std::vector<InputSpec> specs_;
  JudgeWish wish_;
  double least_cosine_ = kLeastCosine;
  std::optional<onnx::Document> document_;
  std::optional<CalibrationData> data_;
  std::unique_ptr<Engine> engine_;
  onnx::QuantOptions how_;
  QuantizeOnnxAnswer answer_;
  bool cuts_sums_ = false;  // as in JudgeGates
};

Status Job::check_usage() {
  if (shared_.writing.in_place)
    return usage_error("an ONNX model is not quantised in place", "-o FILE gives it a new name");
  if (!task_.output.empty() && !task_.output.ends_with(".onnx"))
    return usage_error("the output would be an ONNX file under the name " + quoted(task_.output),
                       "name it .onnx");
  MLC_TRY(specs_, parse_input_specs(options_.inputs));
  answer_.form = options_.form.value_or(onnx::QuantForm::dynamic);
  answer_.reduced = options_.reduce_range;
  answer_.multiplies_bytes =
      multiplies_bytes(answer_.form) ||
      (answer_.form == onnx::QuantForm::int4 &&
       (options_.max_drop || shared_.target_size > 0 || !shared_.recipe.rules.empty()));
  answer_.target = options_.target.value_or(onnx::Int8Target::onnxruntime);
  const bool is_static = answer_.form == onnx::QuantForm::static_qdq;
  MLC_CHECK(check_samples_have_a_use());
  if ((options_.method || !options_.stats.empty()) && !is_static)
    return usage_error("--calib-method and --stats are for --onnx static");
  if (is_static && options_.calib.empty() && options_.stats.empty())
    return usage_error("--onnx static needs samples: --calib FILE is missing",
                       "a .npy, .npz, .pt or .safetensors whose tensors have the inputs' names, or "
                       "--onnx dynamic, which needs none");
  const bool is_int4 = onnx::has_blocks(answer_.form);
  if (!is_int4 && (options_.block || options_.symmetric || shared_.rounding))
    return usage_error("--block, --symmetric and --rounding are for --onnx int4");
  if (!is_static && options_.float_ends) return usage_error("--float-ends is for --onnx static");
  if (!is_static && options_.target)
    return usage_error("--int8-target is for --onnx static, the form that all of them read");
  if (options_.reduce_range && !answer_.multiplies_bytes)
    return usage_error(
        "--reduce-range is for products of bytes: --onnx dynamic and static, and "
        "int4 with --max-drop, --target-size or rules");
  MLC_CHECK(check_sample_options(options_));
  MLC_CHECK(check_drop_options(options_));
  MLC_TRY(wish_, judge_wish(options_, shared_));
  if (is_int4) least_cosine_ = kLeastCosineInt4;
  // The goal says what may be lost.
  if (options_.max_drop) least_cosine_ = -1;
  return read_min_cosine(options_, least_cosine_);
}

/// Of --calib and of what needs it.
Status Job::check_samples_have_a_use() const {
  const bool by_samples = shared_.rounding && needs_samples(*shared_.rounding);
  if (options_.smooth) {
    MLC_CHECK(parse_smooth(*options_.smooth));
    if (!multiplies_bytes(answer_.form))
      return usage_error("--smooth is for activations in bytes: --onnx dynamic and static",
                         "of int4 --rounding awq is the like");
    if (!options_.stats.empty())
      return usage_error("--smooth changes activations, of which --stats keeps ranges as they are");
  }
  if ((options_.smooth || by_samples) && options_.calib.empty())
    return usage_error((by_samples ? fmt::format("--rounding {}", mlc::to_string(*shared_.rounding))
                                   : "--smooth") +
                           " needs samples of inputs: --calib FILE is missing",
                       "a .npy, .npz, .pt or .safetensors whose tensors have the inputs' names");
  const bool used = answer_.form == onnx::QuantForm::static_qdq || options_.max_drop ||
                    options_.smooth || by_samples;
  if (options_.calib.empty() || used) return {};
  return usage_error("--calib is for --onnx static, --smooth, --rounding awq, gptq and --max-drop",
                     "--input gives samples to compare with");
}

Status Job::open() {
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  answer_.input_bytes = 0;
  for (const auto& file : document.files()) answer_.input_bytes += file->size();
  const auto operators = onnx::quantized_operators(document.facts());
  if (!operators.empty() && !shared_.allow_requantize) {
    return conflict("the model is quantised already: it has " + join_list(operators),
                    "quantise the original, or add --allow-requantize to lose more");
  }
  MLC_TRY(const std::vector<InputSpec> declared, onnx_inputs(document.facts()));
  if (specs_.empty()) {
    specs_ = declared;
    if (options_.calib.empty()) answer_.assumed = choose_usual_sizes(specs_);
  }
  if (!options_.calib.empty()) {
    MLC_TRY(data_, CalibrationData::open(options_.calib, document.facts().inputs, task_.reporter));
    warn_of_samples(*data_,
                    answer_.form == onnx::QuantForm::static_qdq ? "for ranges" : "of inputs",
                    task_.reporter);
  }
  document_.emplace(std::move(document));
  return check_globs();
}

/// Globs and rules are of the names in the file, before anything is folded.
Status Job::check_globs() const {
  if (shared_.include.empty() && shared_.exclude.empty() && shared_.rules.empty()) return {};
  std::vector<std::string> names;
  for (const onnx::DocNode& node : document_->nodes)
    if (!node.name.empty()) names.push_back(node.name);
  for (const onnx::DocTensor& tensor : document_->tensors) names.push_back(tensor.name);
  std::vector<UnusedPattern> unused = unused_globs("--include", shared_.include, names);
  for (UnusedPattern& one : unused_globs("--exclude", shared_.exclude, names))
    unused.push_back(std::move(one));
  for (UnusedPattern& one : unused_rules(shared_.recipe.rules, names))
    unused.push_back(std::move(one));
  return refuse_unused(unused, names, task_);
}

onnx::QuantOptions Job::quant_options() const {
  onnx::QuantOptions out;
  out.form = answer_.form;
  out.embeddings = !options_.no_embeddings;
  out.reduce_range = options_.reduce_range;
  out.block = options_.block.value_or(out.block);
  out.symmetric = options_.symmetric;
  // Weights of which samples tell nothing are rounded as usual.
  if (shared_.rounding && !needs_samples(*shared_.rounding)) out.rounding = *shared_.rounding;
  // In a convolution of few weights there can be many multiplications.
  const int64_t usual = out.form == onnx::QuantForm::static_qdq ? 0 : out.min_elements;
  out.min_elements = shared_.min_elements.value_or(usual);
  out.float_ends = options_.float_ends;
  out.target = options_.target.value_or(out.target);
  out.include = shared_.include;
  out.exclude = shared_.exclude;
  out.rules = shared_.rules;
  out.threads = task_.threads;
  return out;
}

/// Finds what of HOW the outputs do not allow, and undoes it.
Status Job::reach_drop(OnnxQuantizer& quantizer, onnx::QuantOptions& how) {
  MLC_TRY(const DropWish wish, read_drop_wish(options_, task_.reporter));
  OnnxDropSubject subject(quantizer, task_.input, how, task_.threads, engine_);
  MLC_TRY(answer_.drop, mlc::cli::reach_drop(subject, judge_samples(), wish, task_.reporter));
  how.bytes.insert(answer_.drop->in_bytes.begin(), answer_.drop->in_bytes.end());
  how.floats.insert(answer_.drop->in_floats.begin(), answer_.drop->in_floats.end());
  return {};
}

Status Job::quantize() {
  OnnxQuantizer quantizer(task_, options_, shared_, data_ ? &*data_ : nullptr, engine_);
  how_ = quant_options();
  if (options_.max_drop) MLC_CHECK(reach_drop(quantizer, how_));
  if (answer_.drop && !answer_.drop->in_floats.empty() && answer_.multiplies_bytes &&
      !answer_.reduced && adds_products_in_16_bits(this_cpu())) {
    task_.reporter.warn(std::string(kCutSums) +
                        "cuts large sums: with --reduce-range fewer weights may stay in floats");
  }
  if (shared_.target_size > 0) {
    const auto finish = [this](onnx::Document& document) { return add_metadata(document); };
    MLC_CHECK(reach_size(quantizer, shared_.target_size, finish, how_));
  }
  MLC_TRY(OnnxQuantizer::Made made, quantizer.make(std::move(*document_), how_));
  document_.emplace(std::move(made.document));
  answer_.report = std::move(made.report);
  answer_.scaling = quantizer.scaling();
  // What became bytes after all, or stayed, was not rounded by them.
  const auto in_blocks = std::ranges::count_if(
      answer_.report.layers, [](const auto& layer) { return layer.scheme.starts_with("int4"); });
  const auto& by_data = quantizer.by_data();
  if (by_data && by_data->gain.weights == static_cast<uint64_t>(in_blocks) && in_blocks > 0) {
    answer_.by_data = by_data;
  }
  if (onnx::has_blocks(answer_.form)) answer_.rounding = shared_.rounding.value_or(how_.rounding);
  answer_.factors = options_.smooth ? "smooth" : shared_.rounding == Rounding::awq ? "awq" : "";
  tell_of_defaults(answer_.report.overridable, document_->facts(), task_.reporter);
  std::vector<std::string> broken;
  for (const onnx::KeptWeight& kept : answer_.report.kept) {
    if (kept.reason.ends_with("not finite") || kept.reason.ends_with(onnx::kOtherFloats))
      broken.push_back(printable(kept.weight) + " (" + kept.reason + ")");
  }
  if (!broken.empty()) task_.reporter.warn("kept as they are: " + join_list(broken));
  if (const std::string text = saturation_warning(answer_, this_cpu()); !text.empty()) {
    task_.reporter.warn(text);
    cuts_sums_ = !answer_.reduced;
  }
  MLC_CHECK(check_fallbacks(answer_.report, shared_.recipe.rules, shared_.strict, task_.reporter));
  // With a size to reach it may be that all fits in floats.
  if (answer_.report.layers.empty() && shared_.target_size == 0) MLC_CHECK(keep_source());
  return add_metadata(*document_);
}

/// The model as it is, which batches go on with, and why nothing in it is quantised.
Status Job::keep_source() {
  MLC_TRY(document_, onnx::Document::open(task_.input));
  const auto& kept = answer_.report.kept;
  const onnx::KeptWeight first = kept.empty() ? onnx::KeptWeight() : kept.front();
  const std::string why = nothing_to_quantise(first.weight, first.reason, kept.size());
  const auto any_says = [&](std::string_view words) {
    return std::ranges::any_of(kept, [&](const onnx::KeptWeight& one) {
      return one.reason.find(words) != std::string::npos;
    });
  };
  const bool multiplies = answer_.form == onnx::QuantForm::dynamic;
  std::vector<std::string> hints;
  if (multiplies && any_says("a convolution"))
    hints.emplace_back("--onnx static with --calib takes convolutions");
  if (multiplies && (any_says("needs floats") || any_says("computes in floats")))
    hints.emplace_back("--onnx weight-only makes the file smaller");
  if (any_says("small:")) hints.emplace_back("--min-elements 0 takes small weights");
  const std::string hint = fmt::format("{}", fmt::join(hints, ", "));
  if (options_.require_speedup) return conflict(why + ", so it is no faster", hint);
  task_.reporter.warn(why + (hint.empty() ? "" : "; " + hint));
  return {};
}

/// What the file knows of its making, where it carries metadata of mlc.
Status Job::add_metadata(onnx::Document& document) const {
  ProvenanceOptions given;
  std::vector<std::string> rules;
  given.text("onnx", onnx::to_string(answer_.form)).flag("no-embeddings", options_.no_embeddings);
  given.text("max-drop", options_.max_drop.value_or(""))
      .text("smooth", options_.smooth.value_or(""));
  if (shared_.rounding) given.text("rounding", mlc::to_string(*shared_.rounding));
  given.flag("reduce-range", options_.reduce_range).list("include", shared_.include);
  for (const SchemeRule& rule : shared_.recipe.rules)
    rules.push_back(rule.text + "=" + rule.scheme.text());
  given.list("tensor", rules)
      .list("exclude", shared_.exclude)
      .flag("float-ends", options_.float_ends);
  if (options_.target) given.text("int8-target", onnx::row_of(*options_.target).name);
  if (options_.method) given.text("calib-method", onnx::to_string(*options_.method));
  if (onnx::has_blocks(answer_.form)) given.text("block", std::to_string(quant_options().block));
  return sign_document(document, task_.input, "quantize", given);
}

Status Job::judge(const OnnxDraft& draft) {
  MLC_TRY(const bool can, can_judge_onnx(wish_, engine_, answer_, task_.reporter));
  if (!can) return {};
  return judge_onnx(*engine_, task_.input, draft.path(), judge_samples(), task_.reporter, answer_);
}

JudgeOptions Job::judge_samples() const {
  return judge_options(specs_, data_ ? &*data_ : nullptr, options_.samples,
                       options_.seed.value_or(0), task_.threads, task_.reporter);
}

Status Job::gates() const {
  MLC_CHECK(check_drop(answer_.drop, cuts_sums_));
  if (answer_.report.layers.empty()) return {};  // it is the source
  return check_judgement(answer_,
                         {least_cosine_, shared_.min_sqnr, options_.require_speedup, cuts_sums_},
                         task_.reporter);
}

Status Job::write_report(std::string_view refused) const {
  if (shared_.report.empty() || shared_.writing.dry_run) return {};
  return write_html(quantized_onnx_html(answer_, task_, refused), shared_.report,
                    shared_.writing.output_options(), document_->files());
}

Status Job::write() {
  onnx::WriteOptions how;
  // A dry run may have no output: then nothing gets the name of the input, beside which it is.
  const bool nameless = task_.output.empty();
  const std::string& place = nameless ? task_.input : task_.output;
  how.sidecar = onnx::sidecar_name(place);
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(document_->skeleton(), how));
  MLC_CHECK(check_beside_source(file.skeleton(), task_.input));
  answer_.file_bytes = file.summary().file_bytes;
  answer_.sidecar_bytes = file.summary().sidecar_bytes;
  answer_.dry_run = shared_.writing.dry_run;
  auto draft = OnnxDraft::write(std::move(file), place,
                                nameless ? OutputOptions{.replace = true, .sync = false, .mode = 0}
                                         : shared_.writing.output_options());
  if (nameless && !draft.ok()) {
    answer_.not_verified = "no file can be made beside the input: " + draft.error().message();
    return check_drop(answer_.drop, cuts_sums_);
  }
  if (!draft.ok()) return std::move(draft).error();
  MLC_CHECK(judge(*draft));
  if (Status passed = gates(); !passed.ok()) {
    MLC_CHECK(write_report(passed.error().message()));
    return passed;
  }
  if (nameless || shared_.writing.dry_run) return {};
  return draft->publish(document_->files());
}

Status Job::write_recipe() const {
  if (shared_.write_recipe.empty() || shared_.writing.dry_run) return {};
  QuantRecipe given = shared_.recipe;
  if (shared_.rounding) given.rounding = *shared_.rounding;
  MLC_TRY(OutputFile out,
          OutputFile::create(shared_.write_recipe, shared_.writing.output_options()));
  QuantRecipe done = done_recipe(given, how_);
  done.onnx = onnx_recipe(options_);
  MLC_CHECK(out.write(recipe_yaml(done)));
  return out.publish(document_->files());
}

Result<FileReport> Job::run() {
  MLC_CHECK(check_usage());
  const auto in_file = [this](Status status) {
    return status.ok() ? Status() : Status(std::move(status).error().in_file(task_.input));
  };
  MLC_CHECK(in_file(open()));
  MLC_CHECK(in_file(quantize()));
  MLC_CHECK(in_file(write()));
  MLC_CHECK(write_recipe());
  MLC_CHECK(write_report(""));
  show_quantized_onnx(answer_, task_);
  return FileReport{ExitCode::done, quantized_onnx_summary(answer_, task_)};
}

}  // namespace

bool QuantizeOnnxOptions::any() const {
  return form || no_embeddings || reduce_range || symmetric || !inputs.empty() || min_cosine ||
         require_speedup || verify || no_verify || !calib.empty() || method || !stats.empty() ||
         float_ends || target || smooth || block || percentile || samples || seed || max_drop ||
         drop_of || !labels.empty();
}

Status check_drop_options(const QuantizeOnnxOptions& options) {
  if (!options.max_drop) {
    if (options.drop_of || !options.labels.empty())
      return usage_error("--drop-of and --labels say what a drop is of: --max-drop X is missing");
    return {};
  }
  MLC_CHECK(parse_drop(*options.max_drop));
  if (options.labels.empty()) return {};
  if (options.drop_of) return usage_error("--drop-of and --labels exclude each other");
  if (options.calib.empty()) return usage_error("--labels are of samples: --calib FILE is missing");
  return {};
}

std::string nothing_to_quantise(const std::string& weight, const std::string& reason,
                                size_t count) {
  std::string out = "there is nothing to quantise";
  if (count > 0) out += ": " + printable(weight) + " is " + reason;
  if (count > 1) out += fmt::format(", and {} more", count - 1);
  return out;
}

Result<std::optional<double>> parse_smooth(const std::string& text) {
  if (text == "auto") return std::optional<double>();
  double alpha = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), alpha);
  if (error != std::errc() || end != text.data() + text.size() || !(alpha >= 0 && alpha <= 1))
    return usage_error("--smooth: neither auto nor a number from 0 to 1: " + quoted(text));
  return std::optional(alpha);
}

Result<double> parse_drop(const std::string& text) {
  const bool percent = text.ends_with('%');
  const char* const end_of_number = text.data() + text.size() - (percent ? 1 : 0);
  double drop = 0;
  const auto [end, error] = std::from_chars(text.data(), end_of_number, drop);
  if (percent) drop /= 100;
  if (error != std::errc() || end != end_of_number || !(drop >= 0 && drop <= 1))
    return usage_error("--max-drop: no part of the whole: " + quoted(text), "as 1% or 0.01");
  return drop;
}

Status check_sample_options(const QuantizeOnnxOptions& options) {
  if (options.percentile && options.method != onnx::RangeMethod::percentile)
    return usage_error("--percentile goes with --calib-method percentile");
  if (options.seed && !options.calib.empty())
    return usage_error("--seed is of random inputs; with --calib the samples are the inputs");
  return {};
}

Status read_min_cosine(const QuantizeOnnxOptions& options, double& least) {
  if (!options.min_cosine) return {};
  const std::string& text = *options.min_cosine;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), least);
  if (error != std::errc() || end != text.data() + text.size() || !(least <= 1))
    return usage_error("--min-cosine: not a number up to 1: " + quoted(text));
  return {};
}

Result<JudgeWish> judge_wish(const QuantizeOnnxOptions& options, const QuantizeOnnxShared& shared) {
  const bool gates = options.min_cosine || shared.min_sqnr || options.max_drop;
  if (gates && options.no_verify)
    return usage_error("--no-verify contradicts --min-cosine, --min-sqnr and --max-drop",
                       "they judge what the result gives when it is run");
  return JudgeWish{options.verify || gates, options.no_verify, options.require_speedup};
}

void add_quantize_onnx_options(OptionSet& set, QuantizeOnnxOptions& options) {
  set.choice("--onnx", options.form, kForms,
             "of ONNX models: dynamic (default): multiply bytes, no data needed; weight-only: "
             "bytes in the file; "
             "int4: four bits, for ONNX Runtime only; int4-qdq: the same for any with opset 21; "
             "static: convolutions too, with --calib");
  set.list(
      "--calib", options.calib, "FILE",
      "samples for static, --smooth, awq, gptq and --max-drop, a tensor for each input: "
      ".npy, .npz, .pt, ..., or a folder of them; repeatable, and what several have of an input "
      "follows each other");
  set.choice("--calib-method", options.method, kMethods,
             "how ranges come of samples: minmax (default), percentile, mse, entropy");
  set.real("--percentile", options.percentile, "P", "of values inside the range (default 99.99)",
           50, 100);
  set.text("--smooth", options.smooth, "A",
           "with --calib: move the size of activations to weights by this power, 0.5 or auto");
  set.file("--stats", options.stats, "FILE", "where ranges are kept, and taken from next time");
  set.is_written();
  set.flag("--float-ends", options.float_ends,
           "static: the first and the last layer stay in floats");
  set.choice("--int8-target", options.target, kTargets,
             "static, what runs it: ort (default); trt: activations without zero points; openvino; "
             "biases of the last two stay floats");
  set.flag("--no-embeddings", options.no_embeddings, "leave tables of embeddings as they are");
  set.flag("--reduce-range", options.reduce_range,
           "7 bits, for CPUs without VNNI, whose 16-bit sums 8 bits can exceed");
  set.integer("--block", options.block, "N", "weights for one scale of int4 (default 32)", 16, 256);
  set.flag("--symmetric", options.symmetric, "int4 without zero points");
  set.list(
      "--input", options.inputs, "SPEC",
      "inputs to compare with, as in `mlc run`; without it sizes that vary are 224 in pictures, "
      "16 in sequences, else 1; repeatable");
  set.is_input_spec();
  set.integer("--seed", options.seed, "N", "of random inputs (default 0)", 0);
  set.integer("--samples", options.samples, "N",
              "inputs to compare with: random ones (default 4), or as many of --calib (64)", 1,
              10'000);
  set.text("--min-cosine", options.min_cosine, "X",
           "least cosine of every output (default 0.99, int4 0.95)");
  set.text("--max-drop", options.max_drop, "X",
           "most that outputs may lose, as 1%: layers that cost most get 8 bits for 4, or stay "
           "in floats");
  set.choice("--drop-of", options.drop_of, kDrops,
             "what may drop: the least cosine (default), or top1: how often the largest value "
             "stays where it is");
  set.file("--labels", options.labels, "FILE",
           "of the samples of --calib: what may drop is how many of them the model tells");
  set.flag("--require-speedup", options.require_speedup,
           "write nothing if the result is no faster here");
  set.flag("--verify", options.verify, "fail where the result cannot be run and compared");
  set.flag("--no-verify", options.no_verify, "do not run the result");
  set.check([&options]() -> Status {
    if (options.no_verify && (options.verify || options.require_speedup))
      return usage_error("--no-verify contradicts --verify and --require-speedup");
    if (!options.calib.empty() && !options.inputs.empty())
      return usage_error("--input and --calib exclude each other",
                         "with --calib the result is compared on its samples");
    if (options.block && (*options.block & (*options.block - 1)) != 0)
      return usage_error("--block must be a power of two");
    return {};
  });
}

Result<FileReport> quantize_onnx(FileTask& task, const QuantizeOnnxOptions& options,
                                 const QuantizeOnnxShared& shared) {
  return Job(task, options, shared).run();
}

}  // namespace mlc::cli
