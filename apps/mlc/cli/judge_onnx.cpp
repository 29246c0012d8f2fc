#include "cli/judge_onnx.h"

#include "mlc/base/text.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/machine.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/measure.h"
#include "mlc/engine/onnx_artefact.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

namespace mlc::cli {
namespace {

/// What is added up of one output over all samples.
struct Sums {
  JudgedOutput out;
  double noise = 0;  // of squared relative norms
  uint64_t samples = 0;
  double top1 = 0;
  uint64_t ranked = 0;  // samples that have a top 1
  bool exact = true;
};

void add(const OutputDifference& difference, Sums& sums) {
  const CompareResult& values = difference.values;
  sums.out.name = difference.name;
  sums.out.max_abs = std::max(sums.out.max_abs, values.max_abs);
  sums.exact = sums.exact && values.max_abs == 0 && values.nan_pairs == 0;
  if (values.cosine) sums.out.cosine = std::min(sums.out.cosine.value_or(1), *values.cosine);
  // Where one of both is NaN or infinite there is no likeness, whatever the other values say.
  if (values.nan_pairs + values.infinite_pairs > 0) sums.out.cosine = 0;
  if (values.rel_norm) {
    sums.noise += *values.rel_norm * *values.rel_norm;
    ++sums.samples;
  }
  if (difference.top1) {
    sums.top1 += *difference.top1;
    ++sums.ranked;
  }
}

JudgedOutput judged(Sums sums) {
  sums.out.exact = sums.exact;
  if (sums.samples > 0 && sums.noise > 0)
    sums.out.sqnr_db = -10 * std::log10(sums.noise / static_cast<double>(sums.samples));
  if (sums.ranked > 0) sums.out.top1 = sums.top1 / static_cast<double>(sums.ranked);
  return std::move(sums.out);
}

Result<std::unique_ptr<Model>> load(Engine& engine, const std::string& path,
                                    const LoadOptions& options) {
  MLC_TRY(const auto opened, OnnxArtefact::open(path));
  if (!opened) return internal_error("the file is no ONNX model");
  return opened->load(path, engine, options, null_reporter());
}

class Judge {
 public:
  Judge(Model& before, Model& after, const JudgeOptions& options, Reporter& reporter)
      : before_(before), after_(after), options_(options), reporter_(reporter) {}

  Status compare();
  Result<double> median(Model& model);
  std::vector<JudgedOutput> outputs() {
    std::vector<JudgedOutput> out;
    for (Sums& each : sums_) out.push_back(judged(std::move(each)));
    return out;
  }

 private:
  Model& before_;
  Model& after_;
  const JudgeOptions& options_;
  Reporter& reporter_;
  std::vector<Sums> sums_;
};

Status Judge::compare() {
  for (int64_t sample = 0; sample < options_.samples; ++sample) {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "stopped by the user");
    MLC_TRY(const auto inputs, options_.inputs(sample));
    Status set = before_.set_inputs(inputs);
    if (set.ok()) set = before_.run();
    if (!set.ok()) return explain_run_error(std::move(set).error(), before_.signature(), inputs);
    MLC_TRY(const auto wanted, before_.outputs());
    MLC_CHECK(after_.set_inputs(inputs));
    if (Status ran = after_.run(); !ran.ok())
      return internal_error("the quantised model fails: " + ran.error().message());
    MLC_TRY(const auto given, after_.outputs());
    // The float model is B: errors are relative to what it gives.
    MLC_TRY(const OutputsComparison comparison, compare_outputs(given, wanted, {}));
    sums_.resize(comparison.outputs.size());
    for (size_t i = 0; i < sums_.size(); ++i) {
      const OutputDifference& difference = comparison.outputs[i];
      if (!difference.problem.empty())
        return internal_error("output " + quoted(difference.name) + ": " + difference.problem);
      add(difference, sums_[i]);
    }
  }
  return {};
}

/// In seconds, on the inputs of the last comparison.
Result<double> Judge::median(Model& model) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  MLC_CHECK(model.run());
  const double one = std::chrono::duration<double>(Clock::now() - start).count();
  constexpr double kFewest = 5;
  constexpr double kMost = 1000;
  MeasureOptions how;
  how.warmup = 1;
  how.runs = static_cast<uint64_t>(std::clamp(options_.seconds / one, kFewest, kMost));
  MLC_TRY(const Latencies found, measure(model, how, reporter_));
  return percentile(found.samples, 50);
}

}  // namespace

Status judge_onnx(Engine& engine, const std::string& before, const std::string& after,
                  const JudgeOptions& options, Reporter& reporter, QuantizeOnnxAnswer& answer) {
  LoadOptions load_options;
  load_options.threads = options.threads;
  load_options.purpose = Purpose::repeated;
  MLC_TRY(const auto a, load(engine, before, load_options));
  MLC_TRY_CTX(const auto b, load(engine, after, load_options), "reading the new file back");
  Judge judge(*a, *b, options, reporter);
  MLC_CHECK(judge.compare());
  MLC_TRY(answer.seconds_before, judge.median(*a));
  MLC_TRY(answer.seconds_after, judge.median(*b));
  answer.outputs = judge.outputs();
  answer.samples = options.samples;
  answer.threads = options.threads;
  answer.engine = engine.title();
  const CpuInfo cpu = this_cpu();
  for (const std::string& feature : cpu.features) {
    const bool matters =
        feature.find("avx") != std::string::npos || feature.find("amx") != std::string::npos;
    if (matters) answer.cpu += (answer.cpu.empty() ? "" : " ") + feature;
  }
  return {};
}

}  // namespace mlc::cli
