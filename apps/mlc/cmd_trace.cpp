#include "command.h"
#include "files/metadata_sources.h"
#include "files/provenance_options.h"
#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/extra_files.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/module_members.h"
#include "mlc/engine/related_sizes.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/engine/stored_inputs.h"
#include "models/engine_options.h"
#include "models/tolerance_options.h"
#include "run/trace_view.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr std::array<std::string_view, 2> kMethods = {"script", "trace"};

struct Options {
  std::string model;
  EngineOptions engine;
  std::string method = "script";
  bool freeze = false;
  bool optimize = false;
  int64_t samples = 2;
  ToleranceOptions tolerance;
  std::string output;
  bool force = false;
  bool sync = false;
  bool dry_run = false;

  bool is_trace() const { return method == "trace"; }
  OutputOptions output_options() const { return {.replace = force, .sync = sync, .mode = 0}; }
};

void setup(OptionSet& set, Options& options) {
  set.positional("MODEL", options.model, "checkpoint with an architecture, TorchScript, or .pt2");
  set.group("Program");
  set.choice("--method", options.method, kMethods,
             "script (the default) keeps control flow; trace records what the inputs did, as one "
             "straight program");
  set.flag("--freeze", options.freeze,
           "make parameters constants of the code; Python's state_dict() of it is empty then");
  set.flag("--optimize", options.optimize,
           "freeze, and fold batch norms into convolutions; no longer equal to the last bit");
  add_engine_options(set, options.engine);
  set.group("Check");
  set.integer("--samples", options.samples, "N",
              "random inputs at the given sizes (default 2), from --seed on", 1, 10'000);
  add_tolerance_options(set, options.tolerance);
  set.group("Output");
  set.file("-o, --output", options.output, "FILE", "the TorchScript file to write (.pt)");
  set.is_written();
  set.flag("-f, --force", options.force, "replace an output that exists");
  set.flag("--sync", options.sync, "wait until a new file is on the disk");
  set.flag("-n, --dry-run", options.dry_run, "do everything but give the file its name");
}

/// NAMES as people read them; of many the first ones.
std::string names_text(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(printable(name));
  return join_list(shown, 6);
}

/// Whether PATH is named for something that is no TorchScript.
bool is_other_format(const std::string& path) {
  constexpr std::array<std::string_view, 6> kOthers = {".safetensors", ".onnx", ".pt2",
                                                       ".npz",         ".npy",  ".json"};
  return std::ranges::any_of(kOthers, [&](std::string_view one) { return path.ends_with(one); });
}

class Job {
 public:
  Job(const Options& options, Context& context) : options_(options), context_(context) {}

  Result<ExitCode> run();

 private:
  Status check_usage() const;
  void describe_job();
  Result<Artefact> open_source() const;
  Result<std::unique_ptr<Model>> load(const Artefact& source, Engine& engine,
                                      Reporter& reporter) const;
  LoadOptions load_options() const;
  static Result<std::vector<NamedValue>> outputs_of(Model& model,
                                                    std::span<const NamedValue> inputs);
  Result<std::vector<NamedValue>> try_source(const Artefact& source, Engine& engine);
  Status keep_inputs(std::span<const NamedValue> inputs);
  Result<ExtraFiles> extra_files(const Artefact& source);
  Result<OutputFile> write(const Artefact& source, Engine& engine,
                           std::span<const NamedValue> inputs);
  std::vector<VerifyCase> all_cases() const;
  Status compare(Engine& engine, Model& model, const OutputFile& out);
  void warn_of_flat_results() const;
  void warn_of_defaults(const Signature& signature) const;
  void find_fixed();
  Status find_lost(const Artefact& source, const OutputFile& out);
  Result<TraceDecision> turned(Model& model);
  static Error at_decision(const Artefact& source, const TraceDecision& decision, Error error);

  const Options& options_;
  Context& context_;
  const ExportedProgram* program_ = nullptr;  // of a .pt2
  std::vector<InputSpec> specs_;
  StoredInputs kept_;
  TraceAnswer answer_;
};

Status Job::check_usage() const {
  MLC_CHECK(parse_input_specs(options_.engine.inputs));
  if (options_.output.empty()) {
    return usage_error("-o FILE is missing: there is nowhere to write to",
                       "as in `mlc trace " + printable(options_.model) + " -o script.pt`");
  }
  if (is_yaml_path(options_.output) || is_other_format(options_.output)) {
    return usage_error(
        "the output would be a TorchScript file under the name " + quoted(options_.output),
        "name it .pt");
  }
  MLC_CHECK(refuse_output_over_model(options_.output, options_.model));
  return OutputFile::check(options_.output, options_.output_options());
}

Result<Artefact> Job::open_source() const {
  MLC_TRY(Artefact source,
          Artefact::open(options_.model, options_.engine.artefact_options(), context_.reporter));
  if (source.engine() != EngineKind::torch) {
    return unsupported("it is an ONNX model, which cannot become TorchScript",
                       "trace the model that it was exported from")
        .in_file(options_.model);
  }
  if (!source.has_architecture() && !options_.engine.architecture.empty()) {
    return usage_error("it has a program of its own, which --arch cannot replace")
        .in_file(options_.model);
  }
  MLC_CHECK(source.check_whole(context_.threads(), context_.reporter));
  return source;
}

/// A model that keeps something from run to run must not have run before it is written or compared:
/// each step has its own.
Result<std::unique_ptr<Model>> Job::load(const Artefact& source, Engine& engine,
                                         Reporter& reporter) const {
  return source.load(engine, load_options(), reporter);
}

LoadOptions Job::load_options() const {
  LoadOptions how = options_.engine.load_options(context_, Purpose::once);
  how.move_devices = true;
  return how;
}

Result<std::vector<NamedValue>> Job::outputs_of(Model& model, std::span<const NamedValue> inputs) {
  Status status = model.set_inputs(inputs);
  if (status.ok()) status = model.run();
  if (!status.ok()) return explain_run_error(std::move(status).error(), model.signature(), inputs);
  return model.outputs();
}

/// The inputs, which the model has taken and run on, with two seeds.
Result<std::vector<NamedValue>> Job::try_source(const Artefact& source, Engine& engine) {
  MLC_TRY(const auto loaded, load(source, engine, context_.reporter));
  Model& model = *loaded;
  answer_.devices = model.signature().devices;
  answer_.check.engine = engine.title();
  answer_.check.device = model.device();
  MLC_CHECK(match_inputs(model.signature(), specs_));
  warn_of_defaults(model.signature());
  const auto seed = static_cast<uint64_t>(options_.engine.seed);
  MLC_TRY(std::vector<NamedValue> inputs, sample_inputs(specs_, seed, context_.reporter));
  MLC_CHECK(check_declared(source.declared(), inputs, !options_.engine.dtype.empty()));
  MLC_CHECK(check_varying(specs_, source.declared()));
  specs_ = with_declared_bounds(std::move(specs_), source.declared());
  MLC_TRY(const std::vector<NamedValue> outputs, outputs_of(model, inputs));
  // Another seed, and what a model keeps from run to run as it was.
  LoadOptions other = load_options();
  ++other.seed;
  MLC_TRY(const auto again, source.load(engine, other, null_reporter()));
  MLC_TRY(const std::vector<NamedValue> others, outputs_of(*again, inputs));
  MLC_TRY(const OutputsComparison both, compare_outputs(outputs, others, {Tolerance{0, 0, true}}));
  answer_.random = std::ranges::any_of(both.outputs, [](const OutputDifference& one) {
    return !one.problem.empty() || !one.within_tolerance();
  });
  if (answer_.random) {
    context_.reporter.warn(
        "the model draws random numbers: another seed gives other outputs; for the check both "
        "sides draw the same ones");
  }
  return inputs;
}

Status Job::keep_inputs(std::span<const NamedValue> inputs) {
  MLC_TRY(kept_, store_inputs(specs_, inputs, dtype_from_name(options_.engine.dtype)));
  for (const std::string_view line : split(kept_.text, '\n')) {
    if (!line.empty()) answer_.inputs.emplace_back(line);
  }
  if (kept_.left_out.empty()) return {};
  context_.reporter.warn("the file keeps type and sizes of " + join_list(kept_.left_out) +
                         " and not the values: above 16 MiB, or of a type that NumPy lacks");
  return {};
}

Result<ExtraFiles> Job::extra_files(const Artefact& source) {
  MLC_TRY(auto metadata, metadata_to_carry(source.checkpoint()));
  ProvenanceOptions given;
  given.text("method", options_.method).text("dtype", options_.engine.dtype);
  given.flag("freeze", options_.freeze).flag("optimize", options_.optimize);
  given.text("key", options_.engine.key).list("input", options_.engine.inputs);
  MLC_TRY(CarriedFiles carried, carried_files(source.checkpoint()));
  ExtraFiles files = std::move(carried.files);
  for (const auto& [name, content] : files) answer_.copied.push_back(name);
  if (!carried.left_out.empty()) {
    context_.reporter.warn("the new file lacks extra files, which hold above 256 MiB: " +
                           names_text(carried.left_out));
  }
  files.insert(files.end(), kept_.files.begin(), kept_.files.end());
  const auto yaml = with_provenance(std::move(metadata), "trace", given);
  if (yaml) files.emplace_back("mlc/metadata.yaml", *yaml);
  warn_of_sidecar(options_.output, yaml, context_.reporter);
  return files;
}

Result<OutputFile> Job::write(const Artefact& source, Engine& engine,
                              std::span<const NamedValue> inputs) {
  MLC_TRY(const auto model, load(source, engine, null_reporter()));
  TraceOptions how;
  how.method = options_.is_trace() ? TraceMethod::trace : TraceMethod::script;
  how.freeze = options_.freeze;
  how.optimize = options_.optimize;
  MLC_TRY(how.extra, extra_files(source));
  MLC_TRY(OutputFile out, OutputFile::create(options_.output, options_.output_options()));
  MLC_CHECK(model->set_inputs(inputs));
  auto facts = model->write_torchscript(how, [&out](Bytes bytes) { return out.write(bytes); });
  if (!facts.ok()) return std::move(facts).error();
  answer_.facts = *facts;
  MLC_CHECK(out.flush());
  answer_.file_bytes = out.position();
  return out;
}

/// With the ends of ranges: a table may be shorter, and what a trace has decided may change on the
/// way to them.
std::vector<VerifyCase> Job::all_cases() const {
  const auto seed = static_cast<uint64_t>(options_.engine.seed);
  // Sizes that somebody typed as numbers are meant to be fixed.
  const bool is_typed = !options_.engine.inputs.empty();
  const auto specs = is_typed ? specs_ : with_computed_sizes(specs_, program_);
  std::vector<VerifyCase> out = verify_cases(specs, seed, static_cast<uint64_t>(options_.samples));
  UpperEnds ends = upper_ends(specs, out, seed, options_.engine.typed_ranges());
  for (VerifyCase& one : ends.cases) out.push_back(std::move(one));
  return with_related_sizes(std::move(out), specs, program_);
}

/// Loads the file, which has no name yet, and compares it with MODEL.
Status Job::compare(Engine& engine, Model& model, const OutputFile& out) {
  // With --dtype for the inputs: the weights are cast already.
  const LoadOptions load = options_.engine.load_options(context_, Purpose::once);
  auto written = engine.load(fmt::format("/proc/self/fd/{}", out.fd()), load, context_.reporter);
  if (!written.ok()) {
    return std::move(written).error().during("reading the new file back");
  }
  const std::vector<VerifyCase> cases = all_cases();
  for (const VerifyCase& one : cases) {
    if (context_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    Reporter& quiet = null_reporter();
    auto result = verify_case(model, **written, one, answer_.check.gates, quiet);
    if (!result.ok()) {
      // Nobody asked for that many values at once.
      const bool is_memory = result.error().kind() == ErrorKind::read_failed;
      if (!is_memory || one.other_size.empty()) return std::move(result).error();
      context_.console.note(printable(one.other_size) + " was not tried: " + result.error().text());
      continue;
    }
    auto& results = result->not_checked.empty() ? answer_.check.cases : answer_.check.not_checked;
    results.push_back(std::move(*result));
  }
  return {};
}

/// A .pt2 keeps how its results are nested; TorchScript of it has a tuple of them, or a dictionary.
void Job::warn_of_flat_results() const {
  if (program_ == nullptr || answer_.check.cases.empty()) return;
  std::vector<std::string> places;
  bool is_nested = false;
  for (const OutputDifference& one : answer_.check.cases.front().comparison.outputs) {
    const bool is_item = one.name == "output" || one.name.starts_with("output.");
    is_nested =
        is_nested || !one.name_b.empty() || (!is_item && one.name.find('.') != std::string::npos);
    places.push_back(one.name_b.empty() ? printable(one.name)
                                        : printable(one.name) + " as " + printable(one.name_b));
  }
  if (!is_nested) return;
  constexpr size_t kMost = 6;
  if (places.size() > kMost) {
    const size_t more = places.size() - kMost;
    places.resize(kMost);
    places.push_back(std::to_string(more) + " more");
  }
  context_.reporter.warn("the new file gives the results flat, not nested as the .pt2 does: " +
                         join_list(places));
}

/// A trace takes what it was recorded with; a script keeps its arguments.
void Job::warn_of_defaults(const Signature& signature) const {
  if (!options_.is_trace() || program_ != nullptr) return;
  std::vector<std::string> left;
  for (const InputInfo& input : signature.inputs) {
    // A dict or a list is given by its parts.
    const bool is_given = std::ranges::any_of(specs_, [&](const InputSpec& spec) {
      return spec.name == input.name || spec.name.starts_with(input.name + ".");
    });
    if (!is_given && !input.required) left.push_back(input.name);
  }
  if (left.empty()) return;
  context_.reporter.warn(
      "the new file does not take " + names_text(left) +
      (left.size() == 1 ? ", which keeps its default" : ", which keep their defaults"));
}

/// A .pt2 knows numbers, texts and None among its inputs as what they were at the export.
void Job::find_fixed() {
  if (program_ == nullptr) return;
  std::vector<std::string> texts;
  for (const ProgramInput& input : program_->inputs) {
    if (input.value != nullptr) continue;
    // The program is JSON.
    const std::string value = input.fixed == "true"    ? "True"
                              : input.fixed == "false" ? "False"
                                                       : input.fixed;
    answer_.fixed.push_back({input.name, nullptr, value});
    texts.push_back(input.name + " = " + value);
  }
  if (texts.empty()) return;
  context_.reporter.warn("the new file does not take what the export fixed: " + names_text(texts));
}

/// Freezing and recording keep `forward` alone.
Status Job::find_lost(const Artefact& source, const OutputFile& out) {
  if (source.has_architecture() || program_ != nullptr) return {};
  MLC_TRY(const auto file, InputFile::open(fmt::format("/proc/self/fd/{}", out.fd())));
  MLC_TRY(const ZipReader zip, ZipReader::open(file, ZipDialect::torch));
  MLC_TRY(const ModuleMembers before, module_members(source.checkpoint().archives[0]));
  MLC_TRY(const ModuleMembers after, module_members(zip));
  answer_.lost_methods = names_lost(before.methods, after.methods);
  answer_.lost_attributes = names_lost(before.attributes, after.attributes);
  std::string lost;
  const auto add = [&lost](const std::string& kind, const std::vector<std::string>& names) {
    if (names.empty()) return;
    if (!lost.empty()) lost += ", and ";
    lost += kind + (names.size() == 1 ? " " : "s ") + names_text(names);
  };
  add("method", answer_.lost_methods);
  add("attribute", answer_.lost_attributes);
  if (lost.empty()) return {};
  const bool is_frozen = options_.freeze || options_.optimize;
  context_.reporter.warn(std::string(is_frozen ? "freezing" : "a trace") +
                         " keeps forward alone; the new file lacks the " + lost);
  return {};
}

/// The first control flow that the case which failed takes another way than the samples did; empty
/// where there is none, or the method records none.
Result<TraceDecision> Job::turned(Model& model) {
  if (!options_.is_trace()) return TraceDecision();
  const auto failed = std::ranges::find(answer_.check.cases, false, &CaseResult::passed);
  std::vector<VerifyCase> cases = all_cases();
  for (size_t i = cases.size(); i > 0; --i) {
    for (const VerifyCase& instead : std::vector(cases[i - 1].instead)) cases.push_back(instead);
  }
  for (const VerifyCase& one : cases) {
    if (one.label != failed->label) continue;
    MLC_TRY(const auto inputs, sample_inputs(one.specs, one.seed, null_reporter()));
    MLC_CHECK(model.set_inputs(inputs));
    TraceOptions how;
    how.method = TraceMethod::trace;
    MLC_TRY(const TraceFacts there, model.write_torchscript(how, [](Bytes) { return Status(); }));
    const auto& here = answer_.facts.decisions;
    const auto [a, b] = std::ranges::mismatch(here, there.decisions);
    if (a != here.end()) return *a;
    if (b != there.decisions.end()) return *b;
  }
  return TraceDecision();
}

/// ERROR, pointing into the YAML where the DECISION lies there.
Error Job::at_decision(const Artefact& source, const TraceDecision& decision, Error error) {
  const arch::Architecture* architecture = source.architecture();
  if (architecture == nullptr || decision.line == 0) return error;
  const Error there = architecture->error_at({decision.line, decision.column}, error.message());
  return Error(error.kind(), there.message(), error.hint()).in_file(there.file());
}

void Job::describe_job() {
  answer_.model = options_.model;
  answer_.output = options_.output;
  answer_.method = options_.method;
  answer_.frozen = options_.freeze || options_.optimize;
  answer_.optimized = options_.optimize;
  answer_.dry_run = options_.dry_run;
  answer_.check.a = options_.model;
  answer_.check.b = "the new file";
  options_.tolerance.apply(answer_.check.gates);
  answer_.check.gates.same_types = true;
}

Result<ExitCode> Job::run() {
  MLC_CHECK(check_usage());
  MLC_TRY(const Artefact source, open_source());
  MLC_TRY(specs_, choose_inputs(options_.engine, source));
  if (source.exported() != nullptr) program_ = &source.exported()->program();
  describe_job();
  MLC_TRY(const auto engine, open_engine(EngineKind::torch));
  auto inputs = try_source(source, *engine);
  if (!inputs.ok()) return std::move(inputs).error().in_file(options_.model);
  MLC_CHECK(keep_inputs(*inputs));
  auto out = write(source, *engine, *inputs);
  if (!out.ok()) return std::move(out).error().in_file(options_.model);
  MLC_TRY(const auto model, load(source, *engine, null_reporter()));
  MLC_CHECK_CTX(compare(*engine, *model, *out), "checking " + options_.output);
  // A .pt2 says itself which sizes it takes; that others do not go together is no news.
  if (!answer_.check.not_checked.empty() && program_ == nullptr) {
    return fixed_in_model(answer_.check, options_.model);
  }
  if (!answer_.check.passed()) {
    MLC_TRY(const TraceDecision decision, turned(*model));
    return at_decision(source, decision, refused_trace(answer_, decision.place));
  }
  warn_of_odd_outputs(answer_.check, context_.reporter);
  warn_of_flat_results();
  find_fixed();
  MLC_CHECK(find_lost(source, *out));
  if (const std::string decided = decisions_text(answer_.facts); !decided.empty()) {
    context_.reporter.warn(decided);
  }
  show_trace(answer_, context_);
  const std::string size = format_bytes(answer_.file_bytes);
  if (options_.dry_run) {
    context_.console.note("would write " + printable(options_.output) + ": " + size);
    return ExitCode::done;
  }
  MLC_CHECK(out->publish(source.checkpoint().files));
  context_.console.note("wrote " + printable(options_.output) + ": " + size);
  return ExitCode::done;
}

Result<ExitCode> run(const Options& options, Context& context) {
  return Job(options, context).run();
}

constexpr Example kExamples[] = {
    {"mlc trace weights.pt --arch arch.yaml -o script.pt", "a checkpoint becomes TorchScript"},
    {"mlc trace net.pt --method trace --input 'x:f32[batch=2,3,32,32]' -o t.pt",
     "record what it does; batch stays free"},
    {"mlc trace weights.pt --arch arch.yaml --optimize -o fast.pt", "for inference only"},
    {"mlc trace exported.pt2 -o script.pt", "what torch.export wrote becomes TorchScript"},
    {"mlc trace cuda.pt --input 'x:f32[1,8]' --device cpu -o cpu.pt", "take devices out"},
};

}  // namespace

Command trace_command() {
  return {
      .name = "trace",
      .group = Group::convert,
      .summary = "turn a model into a TorchScript file, checked",
      .details =
          "Writes a TorchScript file that Python and C++ load without the model's code. Before "
          "it appears it is read back and compared with the model: on random inputs, then with "
          "another size of each named dimension, because what a program does with one size may "
          "be wrong at another. A difference, of types and of keys too, means exit code 1, and "
          "nothing is written.\n\n"
          "Parameters keep their names. The file carries the metadata of its source and the "
          "inputs it was checked with, as extra files mlc/metadata.yaml and mlc/inputs.txt, "
          "the names that an architecture gives its outputs as mlc/outputs.txt, and the "
          "values of those that were read from files or held by the source, up to 16 MiB; "
          "`mlc run` of it needs no --input then. Devices that the program names become the "
          "one of --device. Extra files of a TorchScript or .pt2 are copied. Exported methods and "
          "attributes that --freeze, --optimize and --method trace take out are named, and the "
          "numbers among the inputs of a .pt2, which its export fixed. Results that a .pt2 nests "
          "come flat: as a tuple in their order, or, "
          "where all are tensors with names, as one dictionary. The same input gives the same "
          "bytes.",
      .needs = Needs::torch,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
