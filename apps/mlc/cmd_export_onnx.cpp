#include "cli/engine_options.h"
#include "cli/export_report.h"
#include "cli/export_sizes.h"
#include "cli/export_view.h"
#include "cli/metadata_sources.h"
#include "cli/operator_list.h"
#include "cli/provenance_options.h"
#include "cli/tolerance_options.h"
#include "command.h"
#include "mlc/base/linked_folder.h"
#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnx_program.h"
#include "mlc/engine/program_inputs.h"
#include "mlc/engine/related_sizes.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/onnx/finish.h"
#include "mlc/onnx/narrow.h"
#include "mlc/onnx/op_map.h"
#include "mlc/onnx/randomness.h"
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/model_output.h"
#include "mlc/passes/functionalize.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

constexpr std::string_view kPartialDomain = "mlc.aten";
// Whose operators are within ONNX Runtime.
constexpr std::string_view kRuntimeDomains[] = {"ai.onnx.ml", "com.microsoft"};

constexpr std::array<std::pair<std::string_view, onnx::ExternalData>, 3> kExternal = {{
    {"auto", onnx::ExternalData::automatic},
    {"always", onnx::ExternalData::always},
    {"never", onnx::ExternalData::never},
}};

// What a float16 or bfloat16 model may differ by from its source: it is the direction of an output
// that counts, or of short outputs the values.
constexpr double kNarrowCosine = 0.999;
constexpr double kNarrowTolerance = 1e-2;
constexpr uint64_t kLeastForCosine = 16;

struct Options {
  std::string model;
  EngineOptions engine;
  std::vector<std::string> dims;
  int64_t opset = 0;
  bool partial = false;
  std::string op_map;
  onnx::ExternalData external = onnx::ExternalData::automatic;
  bool origins = false;
  bool simplify = false;  // always, so that nobody has to ask for it
  bool list_ops = false;
  bool dump_graph = false;
  bool verify = false;
  bool no_verify = false;
  int64_t samples = 2;
  ToleranceOptions tolerance{.usual_rtol = 1e-3};
  std::string output;
  std::string report;
  bool force = false;
  bool sync = false;
  bool dry_run = false;

  /// That floats of the source become smaller ones.
  bool is_narrow() const { return engine.dtype == "fp16" || engine.dtype == "bf16"; }
  VerifyGates gates() const;
  OutputOptions output_options() const { return {.replace = force, .sync = sync, .mode = 0}; }
};

VerifyGates Options::gates() const {
  VerifyGates out;
  tolerance.apply(out);
  if (!is_narrow() || !out.by_dtype) return out;
  out.tolerance = {kNarrowTolerance, kNarrowTolerance, true};
  out.cosine = kNarrowCosine;
  out.least_for_cosine = kLeastForCosine;
  return out;
}

void setup(OptionSet& set, Options& options) {
  set.optional_positional("MODEL", options.model,
                          "checkpoint with an architecture, TorchScript, or .pt2");
  set.group("ONNX");
  set.integer("--opset", options.opset, "N",
              "13 to 23 (default 17, or the least one that the operators need)", 13, 23);
  set.list("--dim", options.dims, "OLD=NEW",
           "rename a varying size of a .pt2: batch=N; two with one name become one size");
  set.choice("--external-data", options.external, kExternal,
             "weights in FILE.data beside the model: auto (above 1.8 GB, the default), always, "
             "never");
  set.flag("--partial", options.partial,
           "keep operators that mlc does not know, in the domain mlc.aten");
  set.flag("--simplify", options.simplify,
           "accepted and without effect: constants are folded and shorter forms found in any case");
  set.flag("--origins", options.origins,
           "say in the doc_string of each node which operator, module and source line it is from");
  set.file("--op-map", options.op_map, "FILE",
           "what operators become, in YAML (schemas/op-map.schema.json), before mlc's own table");
  set.flag("--list-ops", options.list_ops,
           "only list the operators of the model, and why one of them cannot become ONNX; without "
           "a model all that mlc knows");
  set.flag("--dump-graph", options.dump_graph, "only print the program that is lowered");
  add_engine_options(
      set, options.engine,
      "fp16: weights and computation in float16, but for what overflows there (sums, exponentials, "
      "roots, angles, ...); bf16: weights stored in bfloat16; inputs and outputs keep their types "
      "in both; fp32: float32 for a model that is smaller");
  set.group("Check");
  set.flag("--verify", options.verify, "fail where the result cannot be run and compared");
  set.flag("--no-verify", options.no_verify, "do not run the result");
  set.integer("--samples", options.samples, "N",
              "random inputs at the given sizes (default 2), from --seed on", 1, 10'000);
  add_tolerance_options(set, options.tolerance,
                        "; with --dtype fp16 or bf16 the cosine has to be 0.999 instead");
  set.group("Output");
  set.file("-o, --output", options.output, "FILE", "the ONNX file to write (.onnx)");
  set.file("--report", options.report, "FILE",
           "an HTML page that says what was made and how it compares, also where it does not pass");
  set.flag("-f, --force", options.force, "replace an output or a report that exists");
  set.flag("--sync", options.sync, "wait until a new file is on the disk");
  set.flag("-n, --dry-run", options.dry_run, "do everything but give the file its name");
}

class Job {
 public:
  Job(const Options& options, Context& context) : options_(options), context_(context) {}

  Result<ExitCode> run();

 private:
  Status check_usage() const;
  Result<Artefact> open_source() const;
  LoadOptions load_options() const;
  Status fit_declared(const Artefact& source);
  Result<ProgramSource> capture(const Artefact& source);
  Result<onnx::Lowered> lower(const ProgramSource& program);
  void describe(const onnx::Model& model, const onnx::ModelFile& file);
  Status write_report(const Artefact& source);
  Result<std::unique_ptr<Model>> load_written(const OutputFile& out,
                                              const std::optional<LinkedFolder>& folder);
  std::vector<VerifyCase> all_cases(const Artefact& source) const;
  Error at_given_sizes(Error error, Model& written, std::span<const VerifyCase> cases);
  Status verify(const Artefact& source, const OutputFile& out,
                const std::optional<LinkedFolder>& folder);
  Result<bool> cannot_verify(Error why);
  Result<bool> can_verify(const onnx::Model& model);
  Status finish(onnx::Model& model);
  Status add_metadata(const Artefact& source, onnx::Model& model);
  Result<ExitCode> write(const Artefact& source, const onnx::Model& model);

  const Options& options_;
  Context& context_;
  std::vector<InputSpec> specs_;
  std::map<std::string, int64_t> least_;  // sizes below which the model does not hold
  onnx::OpMap op_map_;
  ExportAnswer answer_;
  std::unique_ptr<Engine> torch_;
  std::unique_ptr<Engine> onnxruntime_;
  std::unique_ptr<Model> source_model_;
};

Status Job::check_usage() const {
  MLC_CHECK(parse_input_specs(options_.engine.inputs));
  if (options_.verify && options_.no_verify) {
    return usage_error("--verify and --no-verify contradict each other");
  }
  if (options_.model.empty()) {
    return usage_error("MODEL is missing", "as in `mlc export-onnx model.pt2 -o model.onnx`");
  }
  if (options_.list_ops || options_.dump_graph) return {};
  if (options_.output.empty()) {
    return usage_error("-o FILE is missing: there is nowhere to write to",
                       "as in `mlc export-onnx " + printable(options_.model) + " -o model.onnx`");
  }
  if (!options_.output.ends_with(".onnx")) {
    return usage_error("the output would be an ONNX file under the name " + quoted(options_.output),
                       "name it .onnx");
  }
  MLC_TRY(const std::vector<InputSpec> given, parse_input_specs(options_.engine.inputs));
  if (!options_.report.empty() && options_.report == options_.output) {
    return usage_error("-o and --report name the same file");
  }
  for (const std::string& file : {options_.output, options_.report}) {
    if (file.empty()) continue;
    MLC_CHECK(refuse_output_over_inputs(file, {&options_.model, 1}, given));
    MLC_CHECK(OutputFile::check(file, options_.output_options()));
  }
  return {};
}

Result<Artefact> Job::open_source() const {
  MLC_TRY(Artefact source,
          Artefact::open(options_.model, options_.engine.artefact_options(), context_.reporter));
  if (source.engine() != EngineKind::torch) {
    return unsupported("it is an ONNX model already").in_file(options_.model);
  }
  if (!source.has_architecture() && !options_.engine.architecture.empty()) {
    return usage_error("it has a program of its own, which --arch cannot replace")
        .in_file(options_.model);
  }
  MLC_CHECK(source.check_whole(context_.threads(), context_.reporter));
  return source;
}

LoadOptions Job::load_options() const {
  LoadOptions out = options_.engine.load_options(context_, Purpose::once);
  if (options_.is_narrow()) out.dtype.reset();
  return out;
}

/// Compares the inputs that were given with what the architecture declares, and takes its bounds
/// for sizes that have none.
Status Job::fit_declared(const Artefact& source) {
  if (options_.engine.inputs.empty() || source.declared().empty()) return {};
  const auto seed = static_cast<uint64_t>(options_.engine.seed);
  MLC_TRY(const auto inputs, sample_inputs(specs_, seed, null_reporter()));
  MLC_CHECK(check_declared(source.declared(), inputs, !options_.engine.dtype.empty()));
  MLC_CHECK(check_varying(specs_, source.declared()));
  specs_ = with_declared_bounds(std::move(specs_), source.declared());
  return {};
}

Result<ProgramSource> Job::capture(const Artefact& source) {
  if (source.exported() != nullptr) {
    if (options_.engine.dtype == "fp32") {
      return unsupported("a .pt2 has its dtypes in its program", "export it in float32");
    }
    return source.exported()->source(source.checkpoint());
  }
  MLC_TRY(torch_, open_engine(EngineKind::torch));
  MLC_TRY(const auto model, source.load(*torch_, load_options(), context_.reporter));
  MLC_CHECK(match_inputs(model->signature(), specs_));
  MLC_CHECK(fit_declared(source));
  MLC_TRY(const CaptureRequest request,
          capture_request(specs_, static_cast<uint64_t>(options_.engine.seed), context_.reporter));
  auto done = model->capture(request);
  if (!done.ok()) {
    if (!done.error().hint().empty()) return std::move(done).error();
    MLC_TRY(const auto inputs,
            sample_inputs(specs_, static_cast<uint64_t>(options_.engine.seed), null_reporter()));
    return explain_run_error(std::move(done).error(), model->signature(), inputs);
  }
  CapturedProgram captured = std::move(*done);
  for (const std::string& note : captured.notes) context_.reporter.warn(note);
  ProgramSource out;
  out.program = std::make_shared<ExportedProgram>(std::move(captured.program));
  out.weight = std::move(captured.weight);
  return out;
}

Result<onnx::Lowered> Job::lower(const ProgramSource& program) {
  MLC_TRY(const passes::Functionalized pure, passes::functionalize(program.program->graph));
  std::vector<std::string> written = written_by(*program.program);
  for (const ir::Value* value : pure.written) written.push_back(value->name());
  if (!written.empty()) {
    return unsupported(
        "the program writes into " + join_list(written) + ", which an ONNX model cannot keep",
        "export it in eval mode, or give what it keeps as inputs and outputs");
  }
  MLC_TRY(const onnx::Program lowered, onnx_program(program));
  onnx::LowerOptions how;
  if (options_.opset != 0) how.opset = static_cast<int>(options_.opset);
  if (options_.partial) how.partial_domain = kPartialDomain;
  how.map = &op_map_;
  return onnx::lower_program(lowered, how);
}

/// What PROGRAM takes, whose sizes got other names, with the values that HELD have.
std::vector<InputSpec> renamed_inputs(const ExportedProgram& program,
                                      const std::vector<InputSpec>& held) {
  std::vector<InputSpec> out = program_inputs(program);
  for (size_t i = 0; i < std::min(out.size(), held.size()); ++i) {
    if (held[i].held) hold(out[i], *held[i].held);
  }
  return out;
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string type_text(const onnx::Model& model, const onnx::TensorType& type) {
  std::vector<std::string> sizes;
  for (const ir::Expr size : type.sizes) sizes.push_back(model.symbols().text(size));
  return fmt::format("{}[{}]", info(type.dtype).brief, fmt::join(sizes, ", "));
}

void Job::describe(const onnx::Model& model, const onnx::ModelFile& file) {
  const onnx::WriteSummary& summary = file.summary();
  answer_.model = options_.model;
  answer_.output = options_.output;
  answer_.dry_run = options_.dry_run;
  answer_.opset = model.opset;
  std::map<std::string, uint64_t> operators;
  for (const onnx::Node* node : model.graph.nodes) {
    ++operators[node->op];
    if (options_.opset == 0 && model.opset > 17 && node->opset == model.opset &&
        answer_.opset_reason.empty()) {
      answer_.opset_reason = node->op + " needs it";
    }
    if (onnx::is_random(node->op)) answer_.random.push_back(node->name);
  }
  answer_.random_outputs = exported_random(model);
  answer_.operators.assign(operators.begin(), operators.end());
  answer_.nodes = summary.nodes;
  answer_.initializers = summary.initializers;
  answer_.initializer_bytes = summary.initializer_bytes;
  answer_.file_bytes = summary.file_bytes;
  answer_.sidecar_bytes = summary.sidecar_bytes;
  for (const onnx::Value* input : model.graph.inputs) {
    answer_.inputs.push_back({input->name, type_text(model, input->type)});
  }
  for (const onnx::GraphOutput& output : model.graph.outputs) {
    answer_.outputs.push_back({output.name, type_text(model, output.value->type)});
  }
  for (const onnx::Initializer& one : file.skeleton().initializers) {
    const std::string type =
        fmt::format("{}[{}]", info(one.data->dtype).brief, fmt::join(one.data->sizes, ", "));
    answer_.weights.push_back({one.name, type, one.data->byte_size()});
  }
  if (auto version = onnx::checker_version(); version.ok()) answer_.checker = *version;
}

/// That the result is not run, or an error where --verify asks for it.
Result<bool> Job::cannot_verify(Error why) {
  if (options_.verify) return std::move(why).during("--verify");
  answer_.not_verified = why.message();
  context_.reporter.warn("the result was not run: " + answer_.not_verified);
  return false;
}

/// Opens both engines and the source; false, with the reason in the answer, where that cannot be.
Result<bool> Job::can_verify(const onnx::Model& model) {
  if (options_.no_verify) {
    answer_.not_verified = "--no-verify";
    return false;
  }
  const auto is_known = [](const auto& domain) {
    return std::ranges::find(kRuntimeDomains, domain.first) != std::end(kRuntimeDomains);
  };
  const auto foreign = std::ranges::find_if_not(model.domains, is_known);
  if (foreign != model.domains.end()) {
    return cannot_verify(unsupported("ONNX Runtime does not have the operators of the domain " +
                                     printable(foreign->first)));
  }
  for (const auto kind : {EngineKind::torch, EngineKind::onnxruntime}) {
    auto& engine = kind == EngineKind::torch ? torch_ : onnxruntime_;
    if (engine != nullptr) continue;
    auto opened = open_engine(kind);
    if (!opened.ok()) return cannot_verify(std::move(opened).error());
    engine = std::move(*opened);
  }
  // Opened again, because the program that was lowered is not the one in the file any more.
  MLC_TRY(const Artefact source,
          Artefact::open(options_.model, options_.engine.artefact_options(), null_reporter()));
  auto loaded = source.load(*torch_, load_options(), null_reporter());
  if (loaded.ok()) {
    source_model_ = std::move(*loaded);
    return true;
  }
  // As a custom operator, which only --op-map knows.
  if (loaded.error().kind() == ErrorKind::unsupported) {
    return cannot_verify(std::move(loaded).error());
  }
  return std::move(loaded).error().during("checking " + options_.output);
}

/// Loads the file, which has no name yet: FOLDER, where weights lie beside the model, has both
/// under their names. (It has to stay until they have their own: Linux gives a file that lost its
/// last name no other one.)
Result<std::unique_ptr<Model>> Job::load_written(const OutputFile& out,
                                                 const std::optional<LinkedFolder>& folder) {
  const std::string path = folder ? folder->path_of(base_name(options_.output))
                                  : fmt::format("/proc/self/fd/{}", out.fd());
  MLC_TRY(auto opened, OnnxArtefact::open(path));
  if (!opened) return internal_error("the new file is no ONNX model");
  return opened->load(path, *onnxruntime_, load_options(), null_reporter());
}

std::vector<VerifyCase> Job::all_cases(const Artefact& source) const {
  const ExportedProgram* program = source.exported() ? &source.exported()->program() : nullptr;
  // Sizes that somebody typed as numbers are meant to be fixed.
  const bool is_typed = !options_.engine.inputs.empty();
  const auto specs = is_typed ? specs_ : with_computed_sizes(specs_, program);
  auto cases = export_cases(specs, static_cast<uint64_t>(options_.engine.seed),
                            static_cast<uint64_t>(options_.samples), least_);
  return with_related_sizes(std::move(cases), specs, program);
}

/// ERROR is what the source says to the sizes that were given: with one of CASES that it takes.
Error Job::at_given_sizes(Error error, Model& written, std::span<const VerifyCase> cases) {
  if (error.kind() != ErrorKind::usage) return error;
  for (const VerifyCase& one : cases) {
    for (const VerifyCase* other : {&one, one.instead.empty() ? &one : &one.instead.back()}) {
      if (other->other_size.empty()) continue;
      const auto result =
          verify_case(*source_model_, written, *other, answer_.check.gates, null_reporter());
      if (!result.ok() || !result->not_checked.empty()) continue;
      return Error(error.kind(), error.text(),
                   "with " + printable(other->other_size) +
                       " the model runs: give it sizes in "
                       "--input that it takes");
    }
  }
  return error;
}

/// Compares the file, which has no name yet, with the source.
Status Job::verify(const Artefact& source, const OutputFile& out,
                   const std::optional<LinkedFolder>& folder) {
  MLC_TRY_CTX(const auto written, load_written(out, folder), "reading the new file back");
  answer_.check.a = options_.model;
  answer_.check.b = "the new file";
  answer_.check.engine = torch_->title();
  answer_.check.engine_b = onnxruntime_->title();
  answer_.check.device = source_model_->device();
  answer_.check.gates = options_.gates();
  const std::vector<VerifyCase> cases = all_cases(source);
  for (const VerifyCase& one : cases) {
    if (context_.reporter.interrupted())
      return Error(ErrorKind::interrupted, "stopped by the user");
    auto done = verify_case(*source_model_, *written, one, answer_.check.gates, null_reporter());
    if (!done.ok()) return at_given_sizes(std::move(done).error(), *written, cases);
    CaseResult result = std::move(*done);
    // Few models say that a size may not be 1, and some then have no result.
    if (!result.not_checked.empty() && one.other_size.ends_with("=1")) continue;
    warn_of_largest_size(result, specs_, context_.reporter);
    auto& results = result.not_checked.empty() ? answer_.check.cases : answer_.check.not_checked;
    results.push_back(std::move(result));
  }
  return {};
}

/// What the model's file knows besides the graph: the metadata of the source, the bounds of sizes.
Status Job::add_metadata(const Artefact& source, onnx::Model& model) {
  answer_.sizes = varying_sizes(model, least_);
  std::vector<std::string> sizes;
  for (const ExportedSize& size : answer_.sizes) {
    sizes.push_back(
        fmt::format("{}={}..{}", size.name, size.low, size.high ? std::to_string(*size.high) : ""));
  }
  if (!sizes.empty()) {
    model.metadata.emplace_back("mlc.sizes", fmt::format("{}", fmt::join(sizes, ", ")));
  }
  MLC_TRY(auto metadata, metadata_to_carry(source.checkpoint()));
  ProvenanceOptions given;
  given.text("opset", options_.opset == 0 ? "" : std::to_string(options_.opset));
  given.text("key", options_.engine.key).list("input", options_.engine.inputs);
  given.text("dtype", options_.engine.dtype);
  given.list("dim", options_.dims).flag("partial", options_.partial);
  given.text("op_map", options_.op_map);
  const auto yaml = with_provenance(std::move(metadata), "export-onnx", given);
  if (yaml) model.metadata.emplace_back("mlc.metadata", *yaml);
  warn_of_sidecar(options_.output, yaml, context_.reporter);
  return {};
}

Status Job::write_report(const Artefact& source) {
  if (options_.report.empty() || options_.dry_run) return {};
  MLC_TRY(OutputFile out, OutputFile::create(options_.report, options_.output_options()));
  MLC_CHECK(out.write(export_html(answer_)));
  MLC_CHECK(out.publish(source.checkpoint().files));
  context_.console.note("wrote " + printable(options_.report));
  return {};
}

/// A .pt2 states the type of every tensor, which mlc takes as it is. PROBLEM is what ONNX says of a
/// model that was made of statements that do not fit the operators.
Error contradicted(Error problem, const onnx::Model& model) {
  if (problem.kind() != ErrorKind::internal) return problem;
  constexpr std::string_view kName = "node name: ";
  const std::string& text = problem.message();
  const size_t at = text.find(kName);
  std::string where;
  if (at != std::string::npos) {
    const size_t begin = at + kName.size();
    const std::string name = text.substr(begin, text.find(')', begin) - begin);
    const auto node = std::ranges::find(model.graph.nodes, name, &onnx::Node::name);
    if (node != model.graph.nodes.end()) {
      const ir::Origin& origin = (*node)->origin;
      where = " for " + printable((*node)->source);
      if (!origin.scope.empty()) where += " in " + printable(origin.scope);
      if (!origin.text.empty()) where += ", " + printable(origin.text);
    }
  }
  return corrupt(
      "the program states sizes or dtypes" + where + " that its operators do not give: " + text,
      "save it again; if PyTorch runs this very file, it is a defect of mlc to report");
}

Result<ExitCode> Job::write(const Artefact& source, const onnx::Model& model) {
  onnx::WriteOptions how;
  how.external = options_.external;
  how.sidecar = onnx::sidecar_name(options_.output);
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(model, how));
  Status checked = onnx::check_skeleton(file.skeleton());
  if (!checked.ok()) {
    if (source.exported() == nullptr) return std::move(checked).error();
    return contradicted(std::move(checked).error(), model).in_file(options_.model);
  }
  describe(model, file);
  MLC_TRY(onnx::ModelOutput made,
          onnx::ModelOutput::create(std::move(file), options_.output, options_.output_options()));
  const OutputFile& out = made.model();
  const OutputFile* sidecar = made.sidecar();
  MLC_TRY(const bool is_verified, can_verify(model));
  std::optional<LinkedFolder> folder;
  if (is_verified && sidecar != nullptr) {
    MLC_TRY(LinkedFolder linked, LinkedFolder::create_beside(options_.output));
    MLC_CHECK(linked.add(out.fd(), base_name(options_.output)));
    MLC_CHECK(linked.add(sidecar->fd(), how.sidecar));
    folder.emplace(std::move(linked));
  }
  if (is_verified) {
    MLC_CHECK_CTX(verify(source, out, folder), "checking " + options_.output);
    // A .pt2 says itself which sizes it takes; that others do not go together is no news.
    if (!answer_.check.not_checked.empty() && source.exported() == nullptr) {
      return fixed_in_model(answer_.check, options_.model);
    }
    if (!answer_.check.passed()) {
      MLC_CHECK(write_report(source));
      return differing_export(answer_);
    }
  }
  warn_of_odd_outputs(answer_.check, context_.reporter);
  show_export(answer_, context_);
  if (const std::string random = random_text(answer_); !random.empty()) {
    context_.reporter.warn(random);
  }
  if (source.exported() == nullptr) {
    if (const std::string note = fixed_sizes_note(specs_); !note.empty()) {
      context_.console.note(note);
    }
  }
  std::string size = format_bytes(answer_.file_bytes);
  if (sidecar != nullptr) {
    size +=
        " and, beside it, " + printable(how.sidecar) + ": " + format_bytes(answer_.sidecar_bytes);
  } else if (access((options_.output + ".data").c_str(), F_OK) == 0) {
    context_.reporter.warn(printable(options_.output + ".data") +
                           " lies beside the model, which does not use it");
  }
  if (options_.dry_run) {
    context_.console.note("would write " + printable(options_.output) + ": " + size);
    return ExitCode::done;
  }
  MLC_CHECK(made.publish(source.checkpoint().files));
  MLC_CHECK(write_report(source));
  context_.console.note("wrote " + printable(options_.output) + ": " + size);
  return ExitCode::done;
}

/// The last steps on the model itself.
Status Job::finish(onnx::Model& model) {
  answer_.folded_norms = onnx::simplify(model).folded_norms;
  if (options_.is_narrow()) {
    answer_.dtype = options_.engine.dtype;
    const DType dtype = answer_.dtype == "fp16" ? DType::f16 : DType::bf16;
    MLC_TRY(answer_.narrowed, onnx::narrow_floats(model, dtype));
    const auto& names = answer_.narrowed.too_large;
    if (!names.empty()) {
      context_.reporter.warn(join_list(names) + (names.size() == 1 ? " has" : " have") +
                             " numbers beyond 65504, the largest of float16: computed in float32");
    }
  }
  onnx::give_names(model);
  model.says_origins = options_.origins;
  return {};
}

Result<ExitCode> Job::run() {
  if (options_.list_ops && options_.model.empty()) return list_known_operators(context_);
  MLC_CHECK(check_usage());
  MLC_TRY(const auto names, dim_names(options_.dims, context_.reporter));
  if (!options_.op_map.empty()) {
    MLC_TRY(op_map_, onnx::read_op_map(options_.op_map));
  }
  MLC_TRY(const Artefact source, open_source());
  if (!names.empty() && source.exported() == nullptr) {
    return usage_error("--dim renames sizes of a .pt2, which this is not",
                       "sizes have the names that --input gives them: 'x:f32[batch=2,3]'")
        .in_file(options_.model);
  }
  MLC_TRY(specs_, choose_inputs(options_.engine, source));
  auto captured = capture(source);
  if (!captured.ok()) return std::move(captured).error().in_file(options_.model);
  const ProgramSource program = std::move(*captured);
  const bool given = source.exported() == nullptr || !options_.engine.inputs.empty();
  Status named = name_sizes(*program.program, names, given ? specs_ : std::vector<InputSpec>());
  if (!named.ok()) return std::move(named).error().in_file(options_.model);
  if (!given) specs_ = renamed_inputs(*program.program, specs_);
  if (options_.dump_graph) {
    context_.out().write(ir::to_text(program.program->graph));
    return ExitCode::done;
  }
  auto lowered = lower(program);
  if (!lowered.ok()) return std::move(lowered).error().in_file(options_.model);
  if (options_.list_ops) {
    const auto counts = count_operators(program.program->graph);
    return list_operators_of(options_.model, counts, lowered->problems, context_);
  }
  if (!lowered->problems.empty()) {
    return refused_export(lowered->problems).in_file(options_.model);
  }
  least_ = least_sizes(lowered->model);
  if (source.exported() == nullptr) warn_of_least_sizes(lowered->model, context_.reporter);
  for (const auto& [op, count] : count_operators(program.program->graph)) {
    answer_.program_nodes += count;
  }
  MLC_CHECK(finish(lowered->model));
  MLC_CHECK(add_metadata(source, lowered->model));
  return write(source, lowered->model);
}

Result<ExitCode> run(const Options& options, Context& context) {
  return Job(options, context).run();
}

constexpr Example kExamples[] = {
    {"mlc export-onnx model.pt2 -o model.onnx", "what torch.export wrote becomes ONNX"},
    {"mlc export-onnx net.pt -o net.onnx --input 'x:f32[batch=2,3,224,224]'",
     "TorchScript; batch stays free"},
    {"mlc export-onnx net.pt2 -o half.onnx --dtype fp16", "half the size, float32 outside"},
    {"mlc export-onnx w.pt --arch arch.yaml -o w.onnx", "a checkpoint with an architecture"},
    {"mlc export-onnx model.pt2 -o model.onnx --report model.html", "a page to share"},
    {"mlc export-onnx net.pt2 --list-ops", "what the model needs, and what is missing"},
    {"mlc export-onnx --list-ops", "every operator that mlc knows"},
};

}  // namespace

Command export_onnx_command() {
  return {.name = "export-onnx",
          .group = Group::convert,
          .summary = "turn a model into an ONNX file, checked",
          .details =
              "Writes an ONNX model that needs no PyTorch. ONNX's own checker and shape inference "
              "see it before it appears, then ONNX Runtime runs it beside the source: on random "
              "inputs, then with another size of each named dimension. A difference means exit "
              "code 1, and nothing is written.\n\n"
              "Weights keep the names of the state_dict and are stored once where the model ties "
              "them. Sizes that vary have names in the whole file. The opset is 17 unless an "
              "operator needs a later one. Everything that cannot become ONNX is listed at once. "
              "The same input gives the same bytes.",
          .needs = Needs::engine,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
