#include "command.h"
#include "mlc/base/file.h"
#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/cast_inputs.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/paired_inputs.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/tensor/shape.h"
#include "models/engine_options.h"
#include "run/bench_report.h"
#include "run/bench_view.h"
#include "run/child_process.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include <sys/resource.h>

namespace mlc::cli {
namespace {

constexpr int64_t kMostRuns = 10'000'000;

struct Options {
  std::vector<std::string> artefacts;
  EngineOptions engine;
  int64_t warmup = 10;
  int64_t runs = 0;
  double seconds = 1;
  std::vector<std::string> batches;
  std::string report;
  bool force = false;
};

void setup(OptionSet& set, Options& options) {
  set.positionals(
      "ARTEFACT", options.artefacts, 1,
      "TorchScript, .pt2 and ONNX files of one model, checkpoints with an architecture");
  add_engine_options(set, options.engine);
  set.group("Measuring");
  set.integer("--warmup", options.warmup, "N",
              "calls after the first that do not count (default 10)", 0, kMostRuns);
  set.integer("--runs", options.runs, "N", "calls that count (default: those of --seconds)", 1,
              kMostRuns);
  set.real("--seconds", options.seconds, "S", "time for the calls, 10 at least (default 1)", 0.001,
           86400);
  set.list(
      "--batch", options.batches, "N",
      "size of the dimension `batch`; of several, as 1,8,64 or given again, the best is named");
  set.group("Output");
  set.file("--report", options.report, "FILE",
           "write an HTML page with plots, which needs nothing else, to FILE");
  set.is_written();
  set.flag("-f, --force", options.force, "replace a report that exists");
}

/// Created before anything is measured, so that a path that cannot be written costs no time.
Result<std::optional<OutputFile>> create_report(const Options& options) {
  if (options.report.empty()) return std::optional<OutputFile>();
  MLC_TRY(OutputFile file,
          OutputFile::create(options.report, {.replace = options.force, .sync = false, .mode = 0}));
  return std::optional<OutputFile>(std::move(file));
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::optional<uint64_t> batch_of(const std::vector<InputSpec>& specs) {
  for (const InputSpec& spec : specs) {
    const auto dim = std::ranges::find(spec.dims, "batch", &InputDim::symbol);
    if (dim != spec.dims.end()) return static_cast<uint64_t>(dim->example);
  }
  return std::nullopt;
}

/// Each one by itself: "1,4,8" are three.
std::vector<std::string> batch_texts(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& text : given) {
    for (const std::string_view one : split(text, ',')) out.emplace_back(trim(one));
  }
  return out;
}

Result<int64_t> batch_size(const std::string& text) {
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size < 1) {
    return usage_error("--batch: " + quoted(text) + " is no size",
                       "as in --batch 8, or --batch 1,8,64 to measure several");
  }
  return size;
}

/// SPECS with SIZE for the dimension `batch`.
Result<std::vector<InputSpec>> with_batch(std::vector<InputSpec> specs, int64_t size) {
  for (InputSpec& spec : specs) {
    for (InputDim& dim : spec.dims) {
      if (dim.symbol != "batch") continue;
      if (dim.bounds && (size < dim.bounds->first || size > dim.bounds->second)) {
        return usage_error("--batch " + std::to_string(size) +
                           " is outside of batch=" + std::to_string(dim.bounds->first) + ".." +
                           std::to_string(dim.bounds->second));
      }
      dim.example = size;
    }
  }
  compute_sizes(specs);
  for (const InputSpec& spec : specs) {
    if (!element_count(spec.sizes())) {
      return usage_error("--batch " + std::to_string(size) + " is too large");
    }
  }
  return specs;
}

/// SPECS at every size of --batch.
Result<std::vector<std::vector<InputSpec>>> variants(const Options& options,
                                                     const std::vector<InputSpec>& specs) {
  if (options.batches.empty()) return std::vector<std::vector<InputSpec>>(1, specs);
  if (!batch_of(specs)) {
    return usage_error("--batch needs a dimension of that name",
                       "as in --input 'image:f32[batch=1,3,224,224]'");
  }
  std::vector<int64_t> sizes;
  std::vector<std::vector<InputSpec>> out;
  for (const std::string& text : batch_texts(options.batches)) {
    MLC_TRY(const int64_t size, batch_size(text));
    if (std::ranges::find(sizes, size) != sizes.end()) {
      return usage_error("--batch " + text + " is given twice", "leave one of them out");
    }
    sizes.push_back(size);
    MLC_TRY(auto sized, with_batch(specs, size));
    out.push_back(std::move(sized));
  }
  return out;
}

Result<BenchRow> measure_one(const Options& options, const std::string& path,
                             const std::vector<InputSpec>& specs, Context& context) {
  MLC_TRY(const Artefact artefact,
          Artefact::open(path, options.engine.artefact_options(), context.reporter));
  MLC_CHECK(artefact.check_whole(context.threads(), context.reporter));
  BenchRow row;
  row.file = path;
  row.batch = batch_of(specs);
  MLC_TRY(row.file_bytes, artefact.file_bytes());
  const LoadOptions load = options.engine.load_options(context, Purpose::repeated);
  Clock::time_point start = Clock::now();
  MLC_TRY(const auto engine, open_engine(artefact.engine()));
  row.open = seconds_since(start);
  row.engine = engine->title();
  start = Clock::now();
  MLC_TRY(auto loaded, artefact.load(*engine, load, context.reporter));
  row.load = seconds_since(start);
  row.device = loaded->device();
  // Names that somebody typed are those of the first; the others may have other ones.
  if (!options.engine.inputs.empty() && path == options.artefacts.front()) {
    MLC_CHECK(match_inputs(loaded->signature(), specs));
  }
  MLC_TRY(const PairedModel paired, pair_inputs(std::move(loaded), specs));
  const auto& model = paired.model;
  if (!paired.pairs.empty()) {
    context.console.note("inputs of " + printable(path) +
                         " have other names; paired in order: " + paired.pairs);
  }
  MLC_TRY(auto inputs, sample_inputs(specs, load.seed, context.reporter));
  // One table for a network and its form in half precision.
  if (options.artefacts.size() > 1) {
    const auto type = computing_type(model->signature(), artefact.inputs());
    MLC_TRY(inputs, cast_inputs(model->signature(), type, inputs));
  }
  MLC_CHECK(check_declared(artefact.declared(), inputs, !options.engine.dtype.empty()));
  if (Status set = model->set_inputs(inputs); !set.ok()) {
    return explain_run_error(std::move(set).error(), model->signature(), inputs);
  }
  const MeasureOptions how{.warmup = static_cast<uint64_t>(options.warmup),
                           .runs = static_cast<uint64_t>(options.runs),
                           .seconds = options.seconds};
  auto latencies = measure(*model, how, context.reporter);
  if (!latencies.ok()) {
    return explain_run_error(std::move(latencies).error(), model->signature(), inputs);
  }
  row.latencies = std::move(*latencies);
  row.channels_last = model->channels_last();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  row.peak_rss = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return row;
}

/// In a process of its own, so that nothing an artefact leaves behind counts for the next.
Result<BenchRow> measure_apart(const Options& options, const std::string& path,
                               const std::vector<InputSpec>& specs, Context& context) {
  MLC_TRY(const std::string bytes, in_child_process([&]() -> Result<std::string> {
            auto row = measure_one(options, path, specs, context);
            if (!row.ok()) return std::move(row).error().in_file(path);
            return encode(*row);
          }));
  return decode_row(bytes);
}

/// --input, or what the first artefact declares that declares anything.
Result<std::vector<InputSpec>> inputs_of(const Options& options, Context& context) {
  if (!options.engine.inputs.empty()) return parse_input_specs(options.engine.inputs);
  for (const std::string& path : options.artefacts) {
    MLC_TRY(const Artefact artefact,
            Artefact::open(path, options.engine.artefact_options(), context.reporter));
    if (!artefact.inputs().empty()) return artefact.inputs();
  }
  return std::vector<InputSpec>();
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_TRY(const std::vector<InputSpec> wanted, inputs_of(options, context));
  MLC_TRY(const auto sizes, variants(options, wanted));
  MLC_TRY(std::optional<OutputFile> report, create_report(options));
  BenchAnswer answer;
  answer.threads = context.threads();
  answer.dtype = options.engine.dtype;
  answer.seed = static_cast<uint64_t>(options.engine.seed);
  answer.warmup = static_cast<uint64_t>(options.warmup);
  answer.inputs = options.engine.inputs;
  if (answer.inputs.empty()) {
    for (const InputSpec& spec : wanted) answer.inputs.push_back(to_text(spec));
  }
  for (const std::string& path : options.artefacts) {
    for (const std::vector<InputSpec>& specs : sizes) {
      context.console.detail("measuring " + printable(path));
      MLC_TRY(BenchRow row, measure_apart(options, path, specs, context));
      answer.rows.push_back(std::move(row));
    }
  }
  if (report) {
    MLC_CHECK(report->write(bench_html(answer)));
    MLC_CHECK(report->publish());
    context.console.note("wrote " + printable(options.report));
  }
  show_bench(answer, context);
  return ExitCode::done;
}

constexpr Example kExamples[] = {
    {"mlc bench model.pt --input 'x:f32[batch=8,3,224,224]'", "how fast is it?"},
    {"mlc bench m.pt m.onnx --input 'x:f32[1,64]' --threads 1", "TorchScript beside ONNX"},
    {"mlc bench weights.safetensors --arch arch.yaml --batch 1 --batch 8", "a checkpoint"},
    {"mlc bench m.pt --input 'x:f32[batch=1,9]' --batch 1 --batch 8", "which batch size?"},
    {"mlc bench a.pt b.pt --input 'x:f32[1,64]' --report out.html", "plots to share"},
};

}  // namespace

Command bench_command() {
  return {
      .name = "bench",
      .group = Group::run,
      .summary = "measure how fast artefacts of a model run",
      .details =
          "Each artefact is loaded and run in a process of its own, one after the other: time to "
          "load, first call, percentiles (nearest rank), calls or items per second (by the mean), "
          "peak memory of the process. Beside others, a model in half precision gets the inputs in "
          "that type. Items are calls times the dimension called `batch`. Models "
          "are frozen where LibTorch can; copying inputs and outputs is not counted. SPEED "
          "compares medians with the first artefact.",
      .needs = Needs::engine,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
