#include "compress/onnx_quantizer.h"

#include "mlc/base/text.h"
#include "mlc/onnx_edit/raise_opset.h"
#include "mlc/onnx_quant/fold_norms.h"
#include "mlc/onnx_quant/static_plan.h"
#include "mlc/onnx_quant/static_qdq.h"
#include "mlc/onnx_quant/weight_uses.h"
#include "models/onnx_draft.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace mlc::cli {

Result<OnnxQuantizer::Made> OnnxQuantizer::make(const onnx::QuantOptions& how) {
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  return make(std::move(document), how);
}

Result<OnnxQuantizer::Made> OnnxQuantizer::make(onnx::Document document,
                                                const onnx::QuantOptions& how) {
  onnx::QuantOptions with_blocks = how;
  const bool is_gptq = shared_.rounding == Rounding::gptq;
  if (more_ || is_gptq) with_blocks.known_blocks = &blocks_;
  if (scales_inputs() && !factors_) MLC_CHECK(choose_factors(with_blocks));
  if (is_gptq && !by_data_) MLC_CHECK(choose_codes(with_blocks));
  with_blocks.roundings = roundings_;
  if (how.form == onnx::QuantForm::static_qdq) {
    MLC_TRY(onnx::QuantReport report, with_ranges(document, with_blocks));
    return Made{std::move(document), std::move(report)};
  }
  std::vector<std::string> overridable;
  if (factors_) overridable = document.fix_overridable();
  if (factors_) MLC_CHECK(prepare(document));
  MLC_TRY(onnx::QuantReport report, onnx::quantize_weights(document, with_blocks));
  std::ranges::move(overridable, std::back_inserter(report.overridable));
  return Made{std::move(document), std::move(report)};
}

void OnnxQuantizer::expect_more() {
  more_ = true;
}

Result<onnx::QuantReport> OnnxQuantizer::with_ranges(onnx::Document& document,
                                                     const onnx::QuantOptions& how) {
  MLC_CHECK(prepare(document));
  const onnx::StaticPlan plan = onnx::plan_static(document, how);
  std::map<std::string, onnx::ByteScale> scales;
  if (!plan.nodes.empty()) {
    // With other layers in floats an activation may be one that a pool gave in this plan.
    const std::vector<std::string> wanted =
        more_ ? std::vector<std::string>(plan.activations.begin(), plan.activations.end())
              : plan.observed();
    MLC_CHECK(observe(wanted));
    const auto method = options_.method.value_or(onnx::RangeMethod::minmax);
    for (const std::string& name : plan.observed()) {
      const auto found = observers_->find(name);
      if (found == observers_->end())
        return internal_error("activation " + quoted(name) + " was not looked at");
      const onnx::ValueBounds range =
          found->second.range(method, options_.percentile.value_or(kUsualPercentile));
      scales[name] = onnx::row_of(how.target).symmetric ? onnx::signed_byte_scale(range)
                                                        : onnx::byte_scale(range);
    }
  }
  return onnx::quantize_static(document, plan, scales, how);
}

/// What comes before ranges are looked for; the same for the model that is run for them.
Status OnnxQuantizer::prepare(onnx::Document& document) {
  MLC_CHECK(simplify(document));
  if (!factors_) return {};
  scaling_ = {};
  return onnx::scale_inputs(document, inputs_, *factors_, scaling_);
}

Status OnnxQuantizer::simplify(onnx::Document& document) const {
  document.fix_overridable();
  MLC_CHECK(document.lift_constants());
  onnx::skip_identities(document);
  MLC_CHECK(onnx::split_slices(document));
  const bool convolutions =
      options_.form.value_or(onnx::QuantForm::dynamic) == onnx::QuantForm::static_qdq;
  if (!convolutions) return {};
  onnx::turn_matrices(document);
  MLC_CHECK(onnx::raise_opset(document));
  MLC_CHECK(onnx::fold_norms(document));
  return {};
}

bool OnnxQuantizer::scales_inputs() const {
  return options_.smooth || shared_.rounding == Rounding::awq;
}

/// Names of the weights that would be multiplied as HOW says.
Result<std::set<std::string, std::less<>>> OnnxQuantizer::multiplied_weights(
    onnx::QuantOptions how) const {
  std::set<std::string, std::less<>> out;
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  MLC_CHECK(simplify(document));
  if (how.form == onnx::QuantForm::static_qdq) {
    const onnx::StaticPlan plan = onnx::plan_static(document, how);
    for (const size_t node : plan.nodes) out.insert(plan.weight(document, node));
    return out;
  }
  how.rounding = Rounding::rtn;  // it is only about which
  how.known_blocks = nullptr;
  MLC_TRY(const onnx::QuantReport report, onnx::quantize_weights(document, how));
  for (const onnx::QuantizedLayer& layer : report.layers) {
    const bool multiplied =
        onnx::has_blocks(how.form) ? layer.scheme.starts_with("int4") : layer.scheme == "int8";
    if (multiplied) out.insert(layer.weight);
  }
  return out;
}

/// Runs the samples for the factors that --smooth or --rounding awq want.
Status OnnxQuantizer::choose_factors(const onnx::QuantOptions& how) {
  MLC_TRY(const auto weights, multiplied_weights(how));
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  MLC_CHECK(simplify(document));
  inputs_ = onnx::find_scaled_inputs(document, weights);
  std::vector<std::string> names;
  for (const onnx::ScaledInput& input : inputs_) names.push_back(input.activation);
  factors_.emplace();
  if (names.empty()) return {};
  MLC_TRY(onnx::Document watched, onnx::Document::open(task_.input));
  MLC_CHECK(simplify(watched));
  MLC_TRY(const auto model, load_watched(std::move(watched), names));
  MLC_TRY(const auto stats, onnx::channel_stats(*model, *data_, names, task_.reporter));
  warn_of_unseen(stats);
  const ProgressScope progress(task_.reporter, "choosing factors (activations)", inputs_.size());
  for (const onnx::ScaledInput& input : inputs_) {
    if (task_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    MLC_CHECK_CTX(choose_factors_of(document, input, stats.at(input.activation), how),
                  "what reads " + printable(input.activation));
    task_.reporter.advance(1);
  }
  return {};
}

/// Runs the samples for the codes that --rounding gptq wants, as often as sums over the inputs of
/// all layers would take more memory than there should be need of.
Status OnnxQuantizer::choose_codes(const onnx::QuantOptions& how) {
  constexpr uint64_t kMostBytes = 1ULL << 30U;
  MLC_TRY(const auto names, multiplied_weights(how));
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  MLC_CHECK(simplify(document));
  const std::vector<onnx::MultipliedWeights> all = onnx::find_multiplied(document, names);
  by_data_.emplace().samples = data_->samples();
  UnseenInputs unseen;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin;
    for (uint64_t bytes = 0; end < all.size(); ++end) {
      bytes += all[end].gram_bytes();
      if (bytes > kMostBytes && end > begin) break;
    }
    MLC_CHECK(round_some(document, std::span(all).subspan(begin, end - begin), how, unseen));
    begin = end;
  }
  unseen.warn("their weights get the nearest codes", task_.reporter);
  if (by_data_->gain.weights == 0)
    task_.reporter.warn("samples tell of no weight: all are rounded as without gptq");
  return {};
}

/// The same of WEIGHTS, whose sums fit into memory together.
Status OnnxQuantizer::round_some(const onnx::Document& document,
                                 std::span<const onnx::MultipliedWeights> weights,
                                 const onnx::QuantOptions& how, UnseenInputs& unseen) {
  std::set<std::string> names;
  std::vector<onnx::GramSource> sources;
  for (const onnx::MultipliedWeights& some : weights) {
    names.insert(some.inputs.activations.begin(), some.inputs.activations.end());
    sources.push_back(some.inputs);
  }
  MLC_TRY(onnx::Document watched, onnx::Document::open(task_.input));
  MLC_CHECK(simplify(watched));
  MLC_TRY(const auto model, load_watched(std::move(watched), {names.begin(), names.end()}));
  MLC_TRY(const std::vector<onnx::InputGram> grams,
          onnx::input_grams(*model, *data_, sources, task_.threads, task_.reporter));
  const ProgressScope progress(task_.reporter, "rounding (inputs of layers)", weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    if (task_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    task_.reporter.advance(1);
    if (grams[i].rows() == 0) continue;  // samples without elements say nothing
    unseen.add(weights[i].weights.front().name, grams[i].squares());
    MLC_CHECK(onnx::round_by_inputs(document, weights[i], grams[i].matrix(), how, blocks_,
                                    by_data_->gain));
  }
  return {};
}

void OnnxQuantizer::warn_of_unseen(const std::map<std::string, onnx::ChannelStats>& stats) const {
  UnseenInputs unseen;
  for (const onnx::ScaledInput& input : inputs_)
    unseen.add(input.weights.front().name, stats.at(input.activation).mean_size());
  unseen.warn("they get the middle of the others' factors", task_.reporter);
}

Status OnnxQuantizer::choose_factors_of(const onnx::Document& document,
                                        const onnx::ScaledInput& input,
                                        const onnx::ChannelStats& stats,
                                        const onnx::QuantOptions& how) {
  if (stats.rows() == 0) {  // samples without elements say nothing
    factors_->emplace_back();
    return {};
  }
  if (options_.smooth) {
    MLC_TRY(const std::optional<double> alpha, parse_smooth(*options_.smooth));
    MLC_TRY(std::vector<float> factors, onnx::smooth_factors(document, input, stats, alpha));
    factors_->push_back(std::move(factors));
    return {};
  }
  MLC_TRY(onnx::AwqChoice choice, onnx::awq_factors(document, input, stats, how));
  factors_->push_back(std::move(choice.factors));
  for (const onnx::ScaledWeight& weight : input.weights) roundings_[weight.name] = choice.rounding;
  return {};
}

/// Loads DOCUMENT with its activations NAMES among its outputs. Inputs are at hand without.
Result<std::unique_ptr<Model>> OnnxQuantizer::load_watched(onnx::Document document,
                                                           const std::vector<std::string>& names) {
  std::vector<std::string> made;
  const auto& inputs = document.input_names();
  std::ranges::copy_if(names, std::back_inserter(made), [&](const std::string& name) {
    return std::ranges::find(inputs, name) == inputs.end();
  });
  return load_with_values(std::move(document), made, beside(), engine_, task_.threads);
}

/// Runs the float model, its activations NAMES among its outputs, on all samples.
Result<onnx::Observers> OnnxQuantizer::run_samples(const std::vector<std::string>& names) {
  if (data_ == nullptr) {
    const bool is_there = InputFile::open(options_.stats).ok();
    return usage_error(is_there ? "the statistics of " + options_.stats +
                                      " belong to another model or other options"
                                : "there are no statistics " + quoted(options_.stats) + " yet",
                       "--calib FILE gives samples to make them of");
  }
  MLC_TRY(onnx::Document document, onnx::Document::open(task_.input));
  MLC_CHECK(prepare(document));
  MLC_TRY(const auto model, load_watched(std::move(document), names));
  const bool ends = options_.stats.empty() && options_.method.value_or(onnx::RangeMethod::minmax) ==
                                                  onnx::RangeMethod::minmax;
  MLC_TRY(auto found, onnx::calibrate(*model, *data_, names,
                                      ends ? onnx::Observe::bounds : onnx::Observe::histograms,
                                      task_.reporter));
  std::vector<onnx::ValueBounds> bounds;
  for (const auto& [name, observer] : found) bounds.push_back(observer.bounds());
  warn_of_no_range(bounds, task_.reporter);
  return found;
}

Result<std::string> OnnxQuantizer::model_mark() const {
  MLC_TRY(const onnx::Document document, onnx::Document::open(task_.input));
  return onnx::model_mark(document);
}

/// The statistics of --stats where it has those of all NAMES and they may be used.
Result<std::optional<onnx::Observers>> OnnxQuantizer::kept_stats(
    const std::vector<std::string>& names) {
  std::optional<onnx::Observers> none;
  if (options_.stats.empty()) return none;
  const auto file = InputFile::open(options_.stats);
  if (!file.ok()) return none;
  MLC_TRY(const std::string text, (*file)->read_string(0, (*file)->size()));
  auto stats = onnx::read_stats(text);
  if (!stats.ok()) return std::move(stats).error().in_file(options_.stats);
  MLC_TRY(const std::string model, model_mark());
  const bool whole = (stats->model.empty() || stats->model == model) &&
                     std::ranges::all_of(names, [&](const std::string& name) {
                       return stats->observers.contains(name);
                     });
  const bool anew = shared_.writing.force && data_ != nullptr;
  if (whole && !anew) {
    if (data_ != nullptr)
      task_.reporter.warn(
          fmt::format("ranges come from the {} samples of {}, not from --calib; "
                      "--force makes new ones",
                      stats->samples, printable(options_.stats)));
    return std::optional(std::move(stats->observers));
  }
  if (!whole && !anew && data_ != nullptr) {
    return usage_error("the statistics belong to another model or other options",
                       "--force makes new ones, another --stats FILE keeps these")
        .in_file(options_.stats);
  }
  return none;
}

/// Ranges of all NAMES, unless they are known by now.
Status OnnxQuantizer::observe(const std::vector<std::string>& names) {
  if (observers_) return {};
  MLC_TRY(observers_, kept_stats(names));
  if (observers_) return {};
  MLC_TRY(observers_, run_samples(names));
  return keep_stats(*observers_);
}

Status OnnxQuantizer::keep_stats(const onnx::Observers& observers) const {
  if (options_.stats.empty() || shared_.writing.dry_run) return {};
  MLC_TRY(OutputFile out,
          OutputFile::create(options_.stats, {.replace = true, .sync = false, .mode = 0}));
  MLC_TRY(const std::string model, model_mark());
  MLC_CHECK(out.write(onnx::stats_json({observers, data_->samples(), model})));
  return out.publish();
}

}  // namespace mlc::cli
