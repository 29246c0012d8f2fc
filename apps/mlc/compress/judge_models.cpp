#include "compress/judge_models.h"

#include "cli/below_text.h"
#include "cli/table.h"
#include "mlc/base/text.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/machine.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/measure.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnx_artefact.h"
#include "mlc/engine/sample_inputs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <span>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

// How many are compared where nobody says.
constexpr int64_t kRandomSamples = 4;
constexpr int64_t kDataSamples = 64;
constexpr int kRounds = 5;  // of measuring both models in turns
constexpr std::string_view kNothing = "; nothing was written";

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
  if (const auto likeness = values.likeness())
    sums.out.cosine = std::min(sums.out.cosine.value_or(1), *likeness);
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
  Status time_both(double& before, double& after);
  std::vector<JudgedOutput> outputs() {
    std::vector<JudgedOutput> out;
    for (Sums& each : sums_) out.push_back(judged(std::move(each)));
    return out;
  }

 private:
  Result<uint64_t> calls_a_round(Model& model);

  Model& before_;
  Model& after_;
  const JudgeOptions& options_;
  Reporter& reporter_;
  std::vector<Sums> sums_;
};

Status Judge::compare() {
  for (int64_t sample = 0; sample < options_.samples; ++sample) {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    MLC_TRY(const auto inputs, options_.inputs(sample));
    Status set = before_.set_inputs(inputs);
    if (set.ok()) set = before_.run();
    if (!set.ok()) return explain_run_error(std::move(set).error(), before_.signature(), inputs);
    MLC_TRY(const auto wanted, before_.outputs());
    MLC_CHECK(after_.set_inputs(inputs));
    if (Status ran = after_.run(); !ran.ok())
      return internal_error("the new model fails: " + ran.error().message());
    MLC_TRY(const auto given, after_.outputs());
    // The source is B: errors are relative to what it gives.
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

/// How many calls a round has, that all rounds take as long as was asked for.
Result<uint64_t> Judge::calls_a_round(Model& model) {
  using Clock = std::chrono::steady_clock;
  double one = 0;
  for (int i = 0; i < 2; ++i) {
    const auto start = Clock::now();
    MLC_CHECK(model.run());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    one = i == 0 ? seconds : std::min(one, seconds);
  }
  constexpr double kMost = 200;
  return static_cast<uint64_t>(std::clamp(options_.seconds / kRounds / one, 1.0, kMost));
}

/// In seconds, on the inputs of the last comparison: rounds of both models in turns, and of each
/// model the least median of a round. What else the machine does makes rounds slower, never faster,
/// and does not always meet the same model.
Status Judge::time_both(double& before, double& after) {
  MLC_TRY(const uint64_t calls_before, calls_a_round(before_));
  MLC_TRY(const uint64_t calls_after, calls_a_round(after_));
  before = after = std::numeric_limits<double>::infinity();
  const auto round = [this](Model& model, uint64_t calls, double& least) -> Status {
    MLC_TRY(const Latencies found, measure(model, {.warmup = 0, .runs = calls}, reporter_));
    least = std::min(least, percentile(found.samples, 50));
    return {};
  };
  for (int i = 0; i < kRounds; ++i) {
    MLC_CHECK(round(before_, calls_before, before));
    MLC_CHECK(round(after_, calls_after, after));
  }
  return {};
}

}  // namespace

JudgeOptions judge_options(const std::vector<InputSpec>& specs, const CalibrationData* data,
                           std::optional<int64_t> samples, int64_t seed, unsigned threads,
                           Reporter& reporter) {
  JudgeOptions out;
  out.samples = samples.value_or(data != nullptr ? kDataSamples : kRandomSamples);
  out.threads = threads;
  out.inputs = [&specs, &reporter, data, seed](int64_t i) -> Result<std::vector<NamedValue>> {
    if (data != nullptr) return data->sample(static_cast<uint64_t>(i));
    return sample_inputs(specs, static_cast<uint64_t>(seed + i),
                         i == 0 ? reporter : null_reporter());
  };
  if (data != nullptr) {
    out.samples_there = static_cast<int64_t>(data->samples());
    out.samples = std::min(out.samples, out.samples_there);
    return out;
  }
  // Inputs from files are the same in every sample.
  const bool random =
      std::ranges::any_of(specs, [](const InputSpec& spec) { return spec.file.empty(); });
  if (!random) out.samples = 1;
  return out;
}

namespace {

using Sizes = std::map<std::string, int64_t>;  // by the symbol

bool varies(const InputDim& dim) {
  return !dim.symbol.empty() && dim.example == 1;
}

/// Heights and widths of what looks like pictures: floating, one dimension beside the first fixed,
/// two not.
void add_sides(const std::vector<InputSpec>& specs, Sizes& out) {
  constexpr int64_t kUsual = 224;
  for (const InputSpec& spec : specs) {
    const bool may_be = info(spec.dtype).kind == DTypeClass::floating && spec.file.empty();
    if (!may_be || spec.dims.size() != 4) continue;
    const std::span<const InputDim> rest = std::span(spec.dims).subspan(1);
    if (std::ranges::count_if(rest, varies) != 2) continue;
    const auto fixed = std::ranges::find_if_not(rest, varies);
    if (!fixed->symbol.empty()) continue;
    for (const InputDim& dim : rest)
      if (varies(dim)) out.emplace(dim.symbol, kUsual);
  }
  // What tokens are counted by too is a length, as of a mask of attention.
  for (const InputSpec& spec : specs) {
    if (spec.dims.size() == 4) continue;
    for (const InputDim& dim : spec.dims) out.erase(dim.symbol);
  }
}

/// Lengths of what looks like tokens, integers in rows, or like a sequence of vectors.
void add_lengths(const std::vector<InputSpec>& specs, Sizes& out) {
  constexpr int64_t kUsual = 16;
  for (const InputSpec& spec : specs) {
    if (!spec.file.empty() || spec.dims.size() < 2) continue;
    const std::span<const InputDim> rest = std::span(spec.dims).subspan(1);
    const DTypeClass kind = info(spec.dtype).kind;
    const bool vectors = kind == DTypeClass::floating && spec.dims.size() == 3 &&
                         std::ranges::count_if(rest, varies) == 1;
    if (kind != DTypeClass::integer && !vectors) continue;
    for (const InputDim& dim : rest)
      if (varies(dim)) out.emplace(dim.symbol, kUsual);
  }
}

/// The nearest to SIZE that DIM may be.
int64_t within(const InputDim& dim, int64_t size) {
  if (!dim.bounds) return size;
  return std::max(dim.bounds->first, std::min(dim.bounds->second, size));
}

}  // namespace

std::string choose_usual_sizes(std::vector<InputSpec>& specs) {
  Sizes sizes;
  add_sides(specs, sizes);
  add_lengths(specs, sizes);
  std::set<std::string> changed;
  for (InputSpec& spec : specs) {
    for (InputDim& dim : spec.dims) {
      const auto chosen = sizes.find(dim.symbol);
      if (!varies(dim) || chosen == sizes.end()) continue;
      dim.example = within(dim, chosen->second);
      changed.insert(spec.name);
    }
  }
  compute_sizes(specs);
  std::vector<std::string> texts;
  for (const InputSpec& spec : specs) {
    if (!changed.contains(spec.name)) continue;
    std::vector<int64_t> shape;
    for (const InputDim& dim : spec.dims) shape.push_back(dim.example);
    texts.push_back(printable(spec.name) + " " + std::string(info(spec.dtype).brief) +
                    format_shape(shape));
  }
  return texts.empty() ? "" : join_list(texts);
}

Result<bool> can_judge_onnx(const JudgeWish& wish, std::unique_ptr<Engine>& engine,
                            Judgement& judgement, Reporter& reporter) {
  if (wish.no_verify) {
    judgement.not_verified = "--no-verify";
    return false;
  }
  if (engine) return true;
  auto opened = open_engine(EngineKind::onnxruntime);
  if (!opened.ok()) {
    if (wish.verify || wish.require_speedup) return std::move(opened).error().during("--verify");
    judgement.not_verified = opened.error().message();
    reporter.warn("the result was not run: " + opened.error().message());
    return false;
  }
  engine = std::move(*opened);
  return true;
}

Status judge_models(Engine& engine, Model& before, Model& after, const JudgeOptions& options,
                    Reporter& reporter, Judgement& judgement) {
  Judge judge(before, after, options, reporter);
  MLC_CHECK(judge.compare());
  if (options.seconds > 0) {
    MLC_CHECK(judge.time_both(judgement.seconds_before, judgement.seconds_after));
  }
  judgement.outputs = judge.outputs();
  judgement.samples = options.samples;
  judgement.samples_there = options.samples_there;
  judgement.threads = options.threads;
  judgement.engine = engine.title();
  judgement.cpu.clear();
  const CpuInfo cpu = this_cpu();
  for (const std::string& feature : cpu.features) {
    const bool matters =
        feature.find("avx") != std::string::npos || feature.find("amx") != std::string::npos;
    if (matters) judgement.cpu += (judgement.cpu.empty() ? "" : " ") + feature;
  }
  return {};
}

Status judge_onnx(Engine& engine, const std::string& before, const std::string& after,
                  const JudgeOptions& options, Reporter& reporter, Judgement& judgement) {
  LoadOptions load_options;
  load_options.threads = options.threads;
  load_options.purpose = Purpose::repeated;
  MLC_TRY(const auto a, load(engine, before, load_options));
  MLC_TRY_CTX(const auto b, load(engine, after, load_options), "reading the new file back");
  return judge_models(engine, *a, *b, options, reporter, judgement);
}

Status check_outputs(const Judgement& judgement, const JudgeGates& gates, std::string_view hint,
                     std::string_view without_gate) {
  const std::string cosine_hint = std::string(hint) + std::string(without_gate);
  for (const JudgedOutput& one : judgement.outputs) {
    if (one.cosine && *one.cosine < gates.least_cosine && !one.exact) {
      return conflict(fmt::format("output {} has the cosine {} with that of the source, below {}{}",
                                  quoted(one.name), value_below(*one.cosine, gates.least_cosine),
                                  gates.least_cosine, kNothing),
                      cosine_hint);
    }
    if (gates.min_sqnr && !one.sqnr_db && !one.exact) {
      return conflict(fmt::format("output {} has no SQNR that could reach --min-sqnr {}{}",
                                  quoted(one.name), *gates.min_sqnr, kNothing),
                      std::string(hint));
    }
    if (gates.min_sqnr && one.sqnr_db && *one.sqnr_db < *gates.min_sqnr) {
      return conflict(
          fmt::format("output {} has an SQNR of {} dB, below --min-sqnr {}{}", quoted(one.name),
                      value_below(*one.sqnr_db, *gates.min_sqnr, 1), *gates.min_sqnr, kNothing),
          std::string(hint));
    }
  }
  return {};
}

Status check_judgement(const Judgement& judgement, const JudgeGates& gates, Reporter& reporter) {
  if (!judgement.not_verified.empty()) return {};
  MLC_CHECK(check_outputs(
      judgement, gates,
      gates.cuts_sums ? std::string(kCutSums) + "cuts large sums: --reduce-range avoids that"
                      : "--exclude keeps what costs most",
      gates.cuts_sums ? "" : "; --min-cosine -1 writes it all the same"));
  if (judgement.seconds_after < judgement.seconds_before) return {};
  const std::string slower =
      fmt::format("it is no faster here: {:.3g} ms, the float model {:.3g} ms",
                  judgement.seconds_after * 1e3, judgement.seconds_before * 1e3);
  if (gates.require_speedup)
    return conflict(slower + std::string(kNothing),
                    "--onnx and --torchscript have other forms, which may be");
  reporter.warn(slower);
  return {};
}

std::string samples_text(const Judgement& judgement) {
  const std::string used = plural(static_cast<uint64_t>(judgement.samples), "sample");
  if (!judgement.assumed.empty()) return used + " of " + judgement.assumed;
  if (judgement.samples_there <= judgement.samples) return used;
  return fmt::format("{} of {}", judgement.samples,
                     plural(static_cast<uint64_t>(judgement.samples_there), "sample"));
}

std::string latency_text(const Judgement& judgement) {
  return fmt::format("{:.3g} to {:.3g} ms, {:.2f}x, {}, {}, {}", judgement.seconds_before * 1e3,
                     judgement.seconds_after * 1e3,
                     judgement.seconds_before / judgement.seconds_after, judgement.engine,
                     plural(judgement.threads, "thread"), judgement.cpu);
}

void show_outputs(const Judgement& judgement, FileTask& task) {
  task.out.line("");
  Table table({{"OUTPUT", Align::left, true},
               {"SQNR DB", Align::right},
               {"COSINE", Align::right},
               {"TOP-1", Align::right},
               {"MAX ABS", Align::right}});
  for (const JudgedOutput& one : judgement.outputs) {
    table.add({one.name,
               one.exact     ? "exact"
               : one.sqnr_db ? fmt::format("{:.1f}", *one.sqnr_db)
                             : "-",
               one.cosine ? fmt::format("{:.6f}", *one.cosine) : "-",
               one.top1 ? fmt::format("{:.4g}", *one.top1) : "-",
               fmt::format("{:.3g}", one.max_abs)});
  }
  table.render(task.out, task.width);
}

void judgement_json(const Judgement& judgement, JsonWriter& json) {
  json.field("verified", judgement.not_verified.empty());
  if (!judgement.not_verified.empty()) return json.field("not_verified", judgement.not_verified);
  json.field("engine", judgement.engine);
  json.field("cpu", judgement.cpu);
  json.field("threads", static_cast<uint64_t>(judgement.threads));
  json.field("samples", judgement.samples);
  if (!judgement.assumed.empty()) json.field("assumed", judgement.assumed);
  json.field("seconds_before", judgement.seconds_before);
  json.field("seconds_after", judgement.seconds_after);
  json.key("outputs");
  json.begin_array();
  for (const JudgedOutput& one : judgement.outputs) {
    json.begin_object();
    json.field("name", one.name);
    json.field("exact", one.exact);
    json.field("sqnr_db", one.sqnr_db);
    json.field("min_cosine", one.cosine);
    json.field("top1", one.top1);
    json.field("max_abs", one.max_abs);
    json.end_object();
  }
  json.end_array();
}

}  // namespace mlc::cli
