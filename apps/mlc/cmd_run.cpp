#include "command.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/engine/save_outputs.h"
#include "models/engine_options.h"
#include "run/run_view.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

struct Options {
  std::string model;
  EngineOptions engine;
  std::string output;
  bool force = false;
  bool sync = false;
};

void setup(OptionSet& set, Options& options) {
  set.positional("MODEL", options.model,
                 "TorchScript, .pt2, ONNX, or a checkpoint with an architecture");
  add_engine_options(set, options.engine);
  set.group("Output");
  set.file("-o, --output", options.output, "FILE",
           "write the outputs, whole: .npz, .safetensors or .pt");
  set.is_written();
  set.flag("-f, --force", options.force, "replace an output that exists");
  set.flag("--sync", options.sync, "wait until a new file is on the disk");
}

/// What can be known to fail before anything is read.
Status check_output(const Options& options) {
  if (options.output.empty()) return {};
  MLC_CHECK(outputs_format_of(options.output));
  MLC_CHECK(refuse_output_over_model(options.output, options.model));
  std::error_code error;
  if (options.force || !std::filesystem::exists(options.output, error)) return {};
  return Error(ErrorKind::exists, "exists already", "--force replaces it").in_file(options.output);
}

/// Says with -v how long STEP took.
class Stopwatch {
 public:
  Stopwatch(Console& console, std::string step) : console_(console), step_(std::move(step)) {}
  ~Stopwatch() {
    const std::chrono::duration<double, std::milli> past = Clock::now() - started_;
    console_.detail(fmt::format("{}: {:.1f} ms", step_, past.count()));
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Console& console_;
  std::string step_;
  Clock::time_point started_ = Clock::now();
};

template <class Work>
auto timed(Context& context, std::string step, Work&& work) {
  const Stopwatch watch(context.console, std::move(step));
  return work();
}

/// How the values of an input came to be.
std::string made(const InputSpec& spec, uint64_t seed) {
  if (!spec.file.empty()) return "from " + printable(spec.file);
  if (held_values(spec) != nullptr) return "held in the file";
  const std::string random = fmt::format("random, seed {}", seed);
  if (!spec.values) return random;
  const bool real = info(spec.dtype).kind == DTypeClass::floating;
  const ValueRange& range = *spec.values;
  const std::string low = real ? fmt::format("{}", range.low) : fmt::format("{}", range.int_low);
  const std::string high = real ? fmt::format("{}", range.high) : fmt::format("{}", range.int_high);
  if (low == high) return low + " everywhere";
  return fmt::format("random from {} to {}, seed {}", low, high, seed);
}

/// What --dtype makes of the input NAME of type GIVEN; numbers that are no tensors stay.
std::optional<DType> cast_of(const std::string& name, DType given, const Signature& signature,
                             const Options& options) {
  const auto wanted = dtype_from_name(options.engine.dtype);
  const auto input = std::ranges::find(signature.inputs, name, &InputInfo::name);
  if (input != signature.inputs.end() && input->type == "float") return std::nullopt;
  const bool casts = wanted && info(given).kind == DTypeClass::floating && given != *wanted;
  return casts ? wanted : std::nullopt;
}

Result<std::vector<NamedValue>> compute(const Options& options, const Artefact& artefact,
                                        const std::vector<InputSpec>& specs, Model& model,
                                        RunAnswer& answer, Context& context) {
  MLC_CHECK(match_inputs(model.signature(), specs));
  MLC_TRY(const std::vector<NamedValue> inputs,
          sample_inputs(specs, answer.seed, context.reporter));
  for (size_t i = 0; i < specs.size(); ++i) {
    const bool is_held = held_values(specs[i]) != nullptr;
    const std::string& source = is_held ? options.model : specs[i].file;
    answer.inputs.push_back(
        {inputs[i].name, source.empty() ? "random" : source, made(specs[i], answer.seed),
         inputs[i].tensor,
         cast_of(inputs[i].name, inputs[i].tensor.dtype, model.signature(), options)});
  }
  MLC_CHECK(check_declared(artefact.declared(), inputs, !options.engine.dtype.empty()));
  Status status = model.set_inputs(inputs);
  if (status.ok()) status = timed(context, "ran", [&] { return model.run(); });
  if (!status.ok()) {
    return explain_run_error(std::move(status).error(), model.signature(), inputs);
  }
  return model.outputs();
}

/// ERROR of writing outputs; where the weights are of a type that NumPy lacks, another one helps.
Error of_type(Error error, const Signature& signature) {
  const bool is_bfloat16 = error.message().find("bfloat16") != std::string::npos;
  if (!is_bfloat16 || signature.parameters != DType::bf16) return error;
  return Error(error.kind(), error.text(), error.hint() + ", or add --dtype fp32");
}

Result<Artefact> open_artefact(const Options& options, Context& context) {
  MLC_TRY(Artefact artefact,
          Artefact::open(options.model, options.engine.artefact_options(), context.reporter));
  if (!artefact.has_architecture() && !options.engine.architecture.empty()) {
    return usage_error("it has a program of its own, which --arch cannot replace")
        .in_file(options.model);
  }
  MLC_CHECK(artefact.check_whole(context.threads(), context.reporter));
  return artefact;
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_CHECK(parse_input_specs(options.engine.inputs));
  MLC_CHECK(check_output(options));
  MLC_TRY(const Artefact artefact,
          timed(context, "read the file", [&] { return open_artefact(options, context); }));
  MLC_TRY(const std::vector<InputSpec> specs, choose_inputs(options.engine, artefact));
  MLC_TRY(const auto engine, timed(context, "opened " + std::string(to_string(artefact.engine())),
                                   [&] { return open_engine(artefact.engine()); }));
  const LoadOptions load = options.engine.load_options(context, Purpose::once);
  MLC_TRY(const auto model, timed(context, "loaded the model",
                                  [&] { return artefact.load(*engine, load, context.reporter); }));
  RunAnswer answer;
  answer.model = options.model;
  answer.device = model->device();
  answer.dtype = options.engine.dtype;
  answer.threads = load.threads;
  answer.seed = load.seed;
  auto computed = compute(options, artefact, specs, *model, answer, context);
  if (!computed.ok()) return std::move(computed).error().in_file(options.model);
  std::vector<NamedValue> values = std::move(*computed);
  answer.texts = model->texts();
  if (!options.output.empty()) {
    const OutputOptions output{.replace = options.force, .sync = options.sync, .mode = 0};
    answer.file = options.output;
    auto size = save_outputs(values, options.output, output, context.reporter);
    if (!size.ok()) return of_type(std::move(size).error(), model->signature());
    answer.file_size = *size;
    for (const NamedText& text : answer.texts) {
      context.reporter.warn("output " + mlc::quoted(text.name) + " is a text and not in " +
                            printable(options.output) + ", which holds tensors");
    }
  }
  MLC_TRY(answer.outputs, examine(std::move(values), load.threads));
  answer.engine = engine->title();
  warn_of_odd_values(answer.outputs, context.reporter);
  show_run(answer, context);
  if (!answer.file.empty()) {
    context.console.note("wrote " + printable(answer.file) + ": " +
                         plural(answer.outputs.size(), "tensor") + ", " +
                         format_bytes(answer.file_size));
  }
  return ExitCode::done;
}

constexpr Example kExamples[] = {
    {"mlc run model.pt --input 'image:f32[1,3,224,224]'", "on random values"},
    {"mlc run weights.safetensors --arch arch.yaml", "a checkpoint with an architecture"},
    {"mlc run model.onnx", "an ONNX model, on ONNX Runtime"},
    {"mlc run model.pt --input ids=@ids.npy -o logits.npz", "from and to NumPy"},
    {"mlc run bert.pt --input 'ids:i64[2,16]=0..30521' --json", "token numbers, for a program"},
    {"mlc run model.pt --input 'x:f32[8,3]' --device cuda --dtype fp16", "on a GPU"},
};

}  // namespace

Command run_command() {
  return {
      .name = "run",
      .group = Group::run,
      .summary = "run a model on inputs and show its outputs",
      .details =
          "Runs `forward` of a TorchScript file, of an exported program (.pt2), or of a checkpoint "
          "with an architecture, in evaluation mode, without gradients, or the graph of an ONNX "
          "model, and shows shape, range and first values of each "
          "output. The same seed gives the same "
          "inputs on every machine: floats are near to normal (mean 0, deviation 1), bool is "
          "either, u8 and i8 anything, other integers 0 to 9.\n\n"
          "Without --input a .pt2 gets the inputs that it was exported with, and a file of `mlc "
          "trace` those it was checked with, where they hold the values. An ONNX model gets random "
          "values of the types and sizes that it "
          "declares; sizes that vary are 1 then. Lists, tuples and dictionaries of tensors are "
          "given "
          "by their parts: xs.0 and xs.1, named.KEY; of a .pt2 by the names that the export made "
          "of "
          "them, named_KEY, as the list of inputs shows.\n\n"
          "NaN and infinite outputs are reported and do not change the exit code. Prints and "
          "warnings of the model itself appear with -v.",
      .needs = Needs::engine,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
