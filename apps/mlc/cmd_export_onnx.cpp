#include "cli/json_writer.h"
#include "command.h"
#include "export/export_check.h"
#include "export/export_facts.h"
#include "export/export_numbers.h"
#include "export/export_options.h"
#include "export/export_report.h"
#include "export/export_sizes.h"
#include "export/export_view.h"
#include "export/op_map_checks.h"
#include "export/operator_list.h"
#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnx_program.h"
#include "mlc/engine/program_inputs.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/onnx/finish.h"
#include "mlc/onnx/narrow.h"
#include "mlc/onnx/op_map.h"
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/model_output.h"
#include "mlc/passes/functionalize.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

constexpr std::string_view kPartialDomain = "mlc";

void show_graph(const std::string& model, const ir::Graph& graph, Context& context) {
  const std::string text = ir::to_text(graph);
  if (!context.json()) return context.out().write(text);
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.export-onnx-graph/1");
  json.field("model", model);
  json.field("graph", text);
  json.end_object();
}

/// Adds the writes into what lies outside of the program to PROBLEMS: into inputs and weights, as
/// PURE found them, and into what the file names as KEPT: its name and the value of the graph.
void add_writes(const passes::Functionalized& pure,
                std::span<const std::pair<std::string, std::string>> kept,
                std::vector<onnx::Problem>& problems) {
  const auto add = [&](const std::string& name, const passes::Write* write) {
    onnx::Problem one;
    // The program of a .pt2 may have its writes as outputs: what a copy_ behind it would keep.
    one.op = write == nullptr ? "aten::copy_" : write->op.domain + "::" + write->op.name;
    if (write != nullptr) one.first = write->origin;
    one.reason = "it writes into " + name + ", which an ONNX model cannot keep";
    one.count = 1;
    problems.push_back(std::move(one));
  };
  std::set<std::string> told;
  for (const auto& [name, value] : kept) {
    const auto found = std::ranges::find(pure.written, value,
                                         [](const passes::Write& one) { return one.into->name(); });
    add(name, found == pure.written.end() ? nullptr : &*found);
    told.insert(value);
  }
  for (const passes::Write& one : pure.written) {
    if (!told.contains(one.into->name())) add(one.into->name(), &one);
  }
}

class Job {
 public:
  Job(const ExportOptions& options, Context& context) : options_(options), context_(context) {}

  Result<ExitCode> run();

 private:
  Result<Artefact> open_source() const;
  Status fit_declared(const Artefact& source);
  Result<ProgramSource> capture(const Artefact& source, std::set<std::string> frozen);
  Result<ProgramSource> named_program(const Artefact& source, std::set<std::string> frozen);
  Result<onnx::Lowered> lower(const ProgramSource& program, bool partial);
  Result<onnx::Lowered> lower_or_freeze(const Artefact& source, ProgramSource& program);
  std::vector<ExportedRandom> random_besides(const ProgramSource& program,
                                             const onnx::Lowered& lowered);
  Status write_report(const Artefact& source);
  Status finish(onnx::Model& model);
  Result<ExitCode> write(const Artefact& source, const onnx::Model& model);

  const ExportOptions& options_;
  Context& context_;
  std::vector<InputSpec> specs_;
  std::map<std::string, std::string> names_;  // of --dim
  std::vector<std::string> notes_;            // of the capture
  std::map<std::string, int64_t> least_;      // sizes below which the model does not hold
  onnx::OpMap op_map_;
  ExportAnswer answer_;
  std::unique_ptr<Engine> torch_;
};

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

/// A graph takes tensors and numbers, each by its name.
Status refuse_containers(const Signature& signature) {
  for (const InputInfo& input : signature.inputs) {
    const bool is_container = input.type.find('[') != std::string::npos &&
                              input.type.find("Tensor") != std::string::npos &&
                              input.type != "Optional[Tensor]";
    if (!is_container || !input.required) continue;
    return unsupported("input " + quoted(input.name) + " is a " + printable(input.type) +
                           ", and an ONNX model takes tensors only",
                       "wrap the model in one whose forward takes them one by one");
  }
  return {};
}

/// Whether operators were given types that do not go together.
bool is_of_types(const Error& error) {
  return error.message().find("dtype") != std::string::npos ||
         error.message().find("scalar type") != std::string::npos;
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

/// The numbers in FROZEN are none of its inputs.
Result<ProgramSource> Job::capture(const Artefact& source, std::set<std::string> frozen) {
  if (source.exported() != nullptr) {
    for (const std::string& note : source.exported()->program().notes) context_.reporter.warn(note);
    if (options_.engine.dtype == "fp32") {
      return source.exported()->source_in(source.checkpoint(), DType::f32);
    }
    return source.exported()->source(source.checkpoint());
  }
  if (torch_ == nullptr) {
    MLC_TRY(torch_, open_engine(EngineKind::torch));
  }
  MLC_TRY(const auto model,
          source.load(*torch_, options_.load_options(context_), context_.reporter));
  MLC_CHECK(refuse_containers(model->signature()));
  MLC_CHECK(match_inputs(model->signature(), specs_));
  MLC_CHECK(fit_declared(source));
  MLC_TRY(CaptureRequest request,
          capture_request(specs_, static_cast<uint64_t>(options_.engine.seed), context_.reporter));
  request.frozen = std::move(frozen);
  auto done = model->capture(request);
  if (!done.ok()) {
    if (!done.error().hint().empty()) return std::move(done).error();
    if (!options_.engine.dtype.empty() && !options_.is_narrow() && is_of_types(done.error())) {
      return Error(done.error().kind(), done.error().message(),
                   "--dtype casts weights and inputs, not what the program casts itself: leave "
                   "it out");
    }
    MLC_TRY(const auto inputs,
            sample_inputs(specs_, static_cast<uint64_t>(options_.engine.seed), null_reporter()));
    return explain_run_error(std::move(done).error(), model->signature(), inputs);
  }
  CapturedProgram captured = std::move(*done);
  notes_ = std::move(captured.notes);
  ProgramSource out;
  out.program = std::make_shared<ExportedProgram>(std::move(captured.program));
  out.weight = std::move(captured.weight);
  return out;
}

Result<onnx::Lowered> Job::lower(const ProgramSource& program, bool partial) {
  MLC_TRY(const passes::Functionalized pure, passes::functionalize(program.program->graph));
  std::vector<std::pair<std::string, std::string>> kept;
  const std::vector<std::string> names = written_by(*program.program);
  for (size_t i = 0; i < names.size(); ++i)
    kept.emplace_back(names[i], program.program->mutations[i].target->name());
  MLC_TRY(const onnx::Program lowered, onnx_program(program));
  onnx::LowerOptions how;
  if (options_.opset != 0) how.opset = static_cast<int>(options_.opset);
  if (partial) how.partial_domain = kPartialDomain;
  how.map = &op_map_;
  auto out = onnx::lower_program(lowered, how);
  if (out.ok()) add_writes(pure, kept, out->problems);
  return out;
}

/// The program of SOURCE, whose sizes have the names that people gave them.
Result<ProgramSource> Job::named_program(const Artefact& source, std::set<std::string> frozen) {
  auto captured = capture(source, std::move(frozen));
  if (!captured.ok()) return std::move(captured).error().in_file(options_.model);
  const bool given = source.exported() == nullptr || !options_.engine.inputs.empty();
  const std::vector<std::string> joined = join_usual_names(*captured->program, names_);
  Status named = name_sizes(*captured->program, names_, given ? specs_ : std::vector<InputSpec>());
  if (!named.ok()) return std::move(named).error().in_file(options_.model);
  for (const std::string& note : joined) context_.reporter.warn(note);
  return captured;
}

/// What is wrong with LOWERED.
std::string problem_of(const Result<onnx::Lowered>& lowered) {
  if (!lowered.ok()) return lowered.error().message();
  const onnx::Problem& first = lowered->problems.front();
  return printable(first.op) + ": " + printable(first.reason);
}

/// PROGRAM lowered; or, where numbers among its inputs are what cannot be ONNX, one in whose place
/// it has these numbers.
Result<onnx::Lowered> Job::lower_or_freeze(const Artefact& source, ProgramSource& program) {
  auto lowered = lower(program, options_.partial);
  const bool whole = lowered.ok() && lowered->problems.empty();
  const std::vector<std::string> numbers = kept_numbers(*program.program);
  if (whole || numbers.empty() || source.exported() != nullptr) return lowered;
  std::vector<std::string> notes = notes_;
  auto frozen = named_program(source, {numbers.begin(), numbers.end()});
  auto again = frozen.ok() ? lower(*frozen, options_.partial) : std::move(frozen).error();
  if (!again.ok() || !again->problems.empty()) {
    notes_ = std::move(notes);
    return lowered;
  }
  for (const FrozenNumber& one : frozen_numbers(*frozen->program)) {
    notes_.push_back("the argument " + quoted(one.name) + " is " + one.value +
                     " in the model and no input of it: " + problem_of(lowered));
  }
  program = std::move(*frozen);
  return again;
}

/// The outputs of PROGRAM that are random, found through operators too that cannot become ONNX; it
/// was LOWERED without them.
std::vector<ExportedRandom> Job::random_besides(const ProgramSource& program,
                                                const onnx::Lowered& lowered) {
  if (lowered.problems.empty()) return exported_random(lowered.model);
  const auto kept = lower(program, true);
  return kept.ok() ? exported_random(kept->model) : std::vector<ExportedRandom>();
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

Status Job::write_report(const Artefact& source) {
  if (options_.report.empty() || options_.dry_run) return {};
  MLC_TRY(OutputFile out, OutputFile::create(options_.report, options_.output_options()));
  MLC_CHECK(out.write(export_html(answer_)));
  MLC_CHECK(out.publish(source.checkpoint().files));
  context_.console.note("wrote " + printable(options_.report));
  return {};
}

Result<ExitCode> Job::write(const Artefact& source, const onnx::Model& model) {
  onnx::WriteOptions how;
  how.external = options_.external;
  how.sidecar = onnx::sidecar_name(options_.output);
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(model, how));
  Status checked = onnx::check_skeleton(file.skeleton());
  if (!checked.ok()) {
    if (!op_map_.operators.empty()) return refused_map(std::move(checked).error(), options_.op_map);
    if (source.exported() == nullptr) return std::move(checked).error();
    return contradicted_program(std::move(checked).error(), model).in_file(options_.model);
  }
  describe_export(model, file, options_, answer_);
  MLC_TRY(onnx::ModelOutput made,
          onnx::ModelOutput::create(std::move(file), options_.output, options_.output_options()));
  ExportCheck check(options_, context_, answer_, std::move(torch_));
  MLC_TRY(const bool is_verified, check.run(source, model, made, specs_, least_));
  if (is_verified) {
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
  if (const std::string random = random_text(answer_.random_outputs); !random.empty()) {
    context_.reporter.warn(random);
  }
  if (source.exported() == nullptr) {
    if (const std::string note = fixed_sizes_note(specs_); !note.empty()) {
      context_.console.note(note);
    }
  }
  std::string size = format_bytes(answer_.file_bytes);
  if (made.sidecar() != nullptr) {
    size +=
        " and, beside it, " + printable(how.sidecar) + ": " + format_bytes(answer_.sidecar_bytes);
  } else if (access((options_.output + kOnnxDataEnd).c_str(), F_OK) == 0) {
    context_.reporter.warn(printable(options_.output + kOnnxDataEnd) +
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
  MLC_CHECK(check_export_options(options_));
  MLC_TRY(names_, dim_names(options_.dims));
  if (!options_.op_map.empty()) {
    MLC_TRY(op_map_, onnx::read_op_map(options_.op_map));
    MLC_CHECK(check_op_map(op_map_, options_.op_map));
  }
  MLC_TRY(const Artefact source, open_source());
  if (!names_.empty() && source.exported() == nullptr) {
    return usage_error("--dim renames sizes of a .pt2, which this is not",
                       "sizes have the names that --input gives them: 'x:f32[batch=2,3]'")
        .in_file(options_.model);
  }
  MLC_TRY(specs_, choose_inputs(options_.engine, source));
  MLC_TRY(ProgramSource program, named_program(source, {}));
  if (source.exported() != nullptr && options_.engine.inputs.empty()) {
    specs_ = renamed_inputs(*program.program, specs_);
  }
  if (options_.dump_graph) {
    for (const std::string& note : notes_) context_.reporter.warn(note);
    show_graph(options_.model, program.program->graph, context_);
    return ExitCode::done;
  }
  auto lowered = lower_or_freeze(source, program);
  for (const std::string& note : notes_) context_.reporter.warn(note);
  if (!lowered.ok()) return std::move(lowered).error().in_file(options_.model);
  const auto counts = count_operators(program.program->graph);
  warn_of_idle_rules(op_map_, counts, context_.reporter);
  if (options_.list_ops) {
    const std::string random = random_text(random_besides(program, *lowered));
    if (!random.empty()) context_.reporter.warn(random);
    return list_operators_of(options_.model, counts, lowered->problems, context_);
  }
  if (!lowered->problems.empty()) {
    return refused_export(lowered->problems, random_besides(program, *lowered))
        .in_file(options_.model);
  }
  least_ = least_sizes(lowered->model);
  if (source.exported() == nullptr) warn_of_least_sizes(lowered->model, context_.reporter);
  for (const auto& [op, count] : counts) answer_.program_nodes += count;
  MLC_CHECK(finish(lowered->model));
  answer_.sizes = varying_sizes(lowered->model, least_);
  answer_.numbers = kept_numbers(*program.program);
  answer_.frozen = frozen_numbers(*program.program);
  if (source.exported() == nullptr) fix_values(specs_, answer_.frozen);
  MLC_CHECK(add_export_metadata(source.checkpoint(), options_, answer_.sizes, frozen_text(answer_),
                                context_.reporter, lowered->model));
  return write(source, lowered->model);
}

Result<ExitCode> run(const ExportOptions& options, Context& context) {
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
              "inputs, then with another size of each named dimension and at both ends of ranges "
              "that --input gives. A difference means exit code 1, and nothing is written.\n\n"
              "Weights keep the names of the state_dict and are stored once where the model ties "
              "them. Sizes that vary have names in the whole file. The opset is 17 unless an "
              "operator needs a later one. Everything that cannot become ONNX is listed at once. "
              "The same input gives the same bytes.",
          .needs = Needs::engine,
          .examples = kExamples,
          .setup = bind<ExportOptions, setup_export, run>};
}

}  // namespace mlc::cli
