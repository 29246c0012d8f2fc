#include "command.h"
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/cast_inputs.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/paired_inputs.h"
#include "mlc/engine/related_sizes.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/engine/usual_gates.h"
#include "models/engine_options.h"
#include "models/tolerance_options.h"
#include "models/verify_view.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr double kUnset = -2;  // below every cosine and agreement

struct Options {
  std::string a;
  std::string b;
  EngineOptions engine;
  int64_t samples = 3;
  ToleranceOptions tolerance;
  double min_cosine = kUnset;
  double min_agreement = kUnset;
  bool finite = false;

  VerifyGates gates(bool two_engines) const {
    VerifyGates gates;
    tolerance.apply(gates, two_engines ? kEnginesRtol : kUsualRtol);
    if (min_cosine > kUnset) gates.cosine = min_cosine;
    if (min_agreement > kUnset) gates.top1 = min_agreement;
    gates.finite = finite;
    gates.with_tolerance = (gates.cosine || gates.top1) && tolerance.is_given();
    return gates;
  }
};

void setup(OptionSet& set, Options& options) {
  set.positional(
      "A", options.a,
      "the artefact to trust: TorchScript, .pt2, ONNX, or a checkpoint with an architecture");
  set.positional("B", options.b, "the one to compare with it");
  add_engine_options(set, options.engine);
  set.integer("--samples", options.samples, "N",
              "random inputs at the given sizes (default 3), from --seed on", 1, 10'000);
  set.group("What counts");
  add_tolerance_options(set, options.tolerance, "1e-4, of two engines 1e-3");
  set.real("--min-cosine", options.min_cosine, "X",
           "cosine of A and B at least X, instead of the tolerance, or beside one that is given",
           -1, 1);
  set.real("--min-agreement", options.min_agreement, "X",
           "this part of the rows has its largest value in one place, of integers and booleans "
           "this part of the elements is equal, instead of the tolerance, or beside one that is "
           "given",
           0, 1);
  set.flag("--finite", options.finite,
           "NaN and infinite outputs fail, also where A and B agree on them");
}

Result<Artefact> open(const std::string& path, const Options& options, Context& context) {
  MLC_TRY(Artefact artefact,
          Artefact::open(path, options.engine.artefact_options(), context.reporter));
  MLC_CHECK(artefact.check_whole(context.threads(), context.reporter));
  return artefact;
}

/// --input, or what the first of both declares that declares anything.
Result<std::vector<InputSpec>> inputs_of(const Options& options, const Artefact& a,
                                         const Artefact& b) {
  MLC_TRY(std::vector<InputSpec> specs, choose_inputs(options.engine, a.inputs().empty() ? b : a));
  return with_declared_bounds(with_declared_bounds(std::move(specs), a.inputs()), b.inputs());
}

/// Compares the inputs with what A and B declare, before LibTorch costs time.
Status check_inputs(const Options& options, const Artefact& a, const Artefact& b,
                    const std::vector<InputSpec>& specs) {
  if (options.engine.inputs.empty() || (a.declared().empty() && b.declared().empty())) return {};
  const auto seed = static_cast<uint64_t>(options.engine.seed);
  MLC_TRY(const auto inputs, sample_inputs(specs, seed, null_reporter()));
  for (const Artefact* one : {&a, &b}) {
    Status status = check_declared(one->declared(), inputs, !options.engine.dtype.empty());
    if (!status.ok()) return std::move(status).error().in_file(one->path());
  }
  return {};
}

Result<std::unique_ptr<Model>> load(Engine& engine, const Artefact& artefact,
                                    const Options& options, Context& context) {
  const LoadOptions how = options.engine.load_options(context, Purpose::once);
  MLC_TRY(auto model, artefact.load(engine, how, context.reporter));
  return model;
}

/// MODEL, which PATH holds, under the names of SPECS.
Result<std::unique_ptr<Model>> paired(std::unique_ptr<Model> model, const std::string& path,
                                      const std::vector<InputSpec>& specs, Context& context) {
  auto out = pair_inputs(std::move(model), specs);
  if (!out.ok()) return std::move(out).error().in_file(path);
  if (!out->pairs.empty()) {
    context.console.note("inputs of " + printable(path) +
                         " have other names; paired in order: " + out->pairs);
  }
  return std::move(out->model);
}

CaseResult not_tried(const VerifyCase& one, const std::string& reason) {
  CaseResult out;
  out.label = one.label;
  out.other_size = one.other_size;
  out.not_checked = one.other_size + " was not tried: " + reason;
  return out;
}

/// TOO_LARGE gets the upper ends of ranges that are not tried.
std::vector<VerifyCase> all_cases(const Options& options, const Artefact& first,
                                  const Artefact& second, std::vector<InputSpec> specs,
                                  std::vector<CaseResult>& too_large) {
  const ExportedProgram* program = first.exported()    ? &first.exported()->program()
                                   : second.exported() ? &second.exported()->program()
                                                       : nullptr;
  // Sizes that somebody typed as numbers are meant to be fixed.
  if (options.engine.inputs.empty()) specs = with_computed_sizes(std::move(specs), program);
  const auto seed = static_cast<uint64_t>(options.engine.seed);
  auto cases = verify_cases(specs, seed, static_cast<uint64_t>(options.samples));
  UpperEnds ends = upper_ends(specs, cases, seed, options.engine.typed_ranges());
  for (VerifyCase& one : ends.cases) cases.push_back(std::move(one));
  for (const VerifyCase& one : ends.too_large) {
    too_large.push_back(not_tried(one, "its inputs are too large"));
  }
  return with_related_sizes(std::move(cases), specs, program);
}

/// Whether ARTEFACT is ONNX in half precision, and OTHER, which is MODEL in memory, is not.
bool is_narrower(const Artefact& artefact, const Artefact& other, const Model& model) {
  const auto type = artefact.weights_type();
  if (artefact.engine() != EngineKind::onnxruntime || !type) return false;
  return other.weights_type() != type && model.signature().parameters != type;
}

/// What A and B, which are FIRST and SECOND in memory, may differ by: what was given, or else what
/// their forms make of the same numbers.
Result<VerifyGates> gates_of(const Options& options, const Artefact& first, const Model& a,
                             const Artefact& second, const Model& b) {
  const bool two_engines = first.engine() != second.engine();
  VerifyGates gates = options.gates(two_engines);
  FormRounding rounding;
  rounding.half = is_narrower(first, second, b) || is_narrower(second, first, a);
  for (const Artefact* one : {&first, &second}) {
    const auto type = one->weights_type();
    if (type && !rounding.half) gates.weights.push_back(*type);
  }
  if (two_engines) {  // one rounds alike in both
    MLC_TRY(const bool in_first, first.rounds_to_bytes());
    MLC_TRY(const bool in_second, second.rounds_to_bytes());
    rounding.bytes = in_first && in_second;
  }
  set_usual_gates(rounding, gates);
  return gates;
}

/// Where what differs still has nearly one direction, as a quantised model beside its source: says
/// which gate asks for that.
void tell_of_angle(const VerifyAnswer& answer, Context& context) {
  constexpr double kNearlyOne = 0.95;
  if (answer.gates.cosine || answer.passed()) return;
  double least = 1;
  for (const CaseResult& one : answer.cases) {
    if (!one.failure.empty()) return;
    for (const OutputDifference& output : one.comparison.outputs) {
      if (!output.problem.empty()) return;
      least = std::min(least, output.values.likeness().value_or(1));
    }
  }
  if (least < kNearlyOne) return;
  context.console.note(fmt::format(
      "cosines are {:.6f} at the least: where one side is quantised, --min-cosine {} asks for that "
      "in place of the tolerance",
      least, least > 0.99 ? "0.99" : "0.95"));
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_CHECK(parse_input_specs(options.engine.inputs));
  MLC_TRY(const Artefact first, open(options.a, options, context));
  MLC_TRY(const Artefact second, open(options.b, options, context));
  MLC_TRY(const std::vector<InputSpec> specs, inputs_of(options, first, second));
  MLC_CHECK(check_inputs(options, first, second, specs));
  MLC_TRY(const auto engine, open_engine(first.engine()));
  std::unique_ptr<Engine> other;  // of B, where A has another one
  if (second.engine() != first.engine()) {
    MLC_TRY(other, open_engine(second.engine()));
  }
  MLC_TRY(auto trusted, load(*engine, first, options, context));
  Status known = match_inputs(trusted->signature(), specs);
  // Names that somebody typed are those of A; what B declares may have other ones.
  if (!known.ok() && !options.engine.inputs.empty()) {
    return std::move(known).error().in_file(options.a);
  }
  MLC_TRY(auto a, paired(std::move(trusted), options.a, specs, context));
  MLC_TRY(auto loaded, load(other ? *other : *engine, second, options, context));
  MLC_TRY(auto b, paired(std::move(loaded), options.b, specs, context));
  const auto type_a = computing_type(a->signature(), first.inputs());
  const auto type_b = computing_type(b->signature(), second.inputs());
  if (type_a != type_b) {
    a = with_cast_inputs(std::move(a), type_a);
    b = with_cast_inputs(std::move(b), type_b);
  }
  VerifyAnswer answer;
  answer.a = options.a;
  answer.b = options.b;
  answer.engine = engine->title();
  if (other) answer.engine_b = other->title();
  answer.device = a->device();
  MLC_TRY(answer.gates, gates_of(options, first, *a, second, *b));
  const std::vector<VerifyCase> cases =
      all_cases(options, first, second, specs, answer.not_checked);
  for (const VerifyCase& one : cases) {
    if (context.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    // The files of inputs are read for every case, and warned of once.
    Reporter& reporter = &one == &cases.front() ? context.reporter : null_reporter();
    auto result = verify_case(*a, *b, one, answer.gates, reporter);
    if (!result.ok()) {
      // Nobody asked for that many values at once.
      const bool is_memory = result.error().kind() == ErrorKind::read_failed;
      if (!is_memory || one.other_size.empty()) return std::move(result).error();
      answer.not_checked.push_back(not_tried(one, result.error().text()));
      continue;
    }
    auto& results = result->not_checked.empty() ? answer.cases : answer.not_checked;
    results.push_back(std::move(*result));
  }
  warn_of_odd_outputs(answer, context.reporter);
  show_verify(answer, context);
  tell_of_angle(answer, context);
  return answer.passed() ? ExitCode::done : ExitCode::no;
}

constexpr Example kExamples[] = {
    {"mlc verify model.pt traced.pt --input 'x:f32[batch=2,3,224,224]'",
     "do both compute the same?"},
    {"mlc verify weights.pt traced.pt --arch arch.yaml", "a checkpoint and its trace"},
    {"mlc verify weights.pt model.onnx --arch arch.yaml", "a checkpoint and its ONNX export"},
    {"mlc verify a.pt b.pt --input ids=@ids.npy --min-cosine 0.999", "on real inputs, by angle"},
};

}  // namespace

Command verify_command() {
  return {
      .name = "verify",
      .group = Group::check,
      .summary = "check that two artefacts compute the same",
      .details =
          "Runs both on the same inputs: several random ones at the given sizes, then once with "
          "another size of each named dimension (batch=2 is tried with 3, seq=8..512 with 16 and "
          "512), "
          "because a size that a trace has baked in shows only there, within what an "
          "architecture or a .pt2 declares. The end of a declared range is left out, and that is "
          "said, where inputs would be very large; that of one in --input is tried up to 4 million "
          "elements. Inputs from files stay as "
          "they are. A size that A refuses is not checked, and says so. Where one of them has "
          "other "
          "names for all its inputs they are paired in order; where one computes in half precision "
          "it gets the same "
          "inputs in that type. The usual tolerance is that of half precision where the outputs "
          "are, or all weights of A or B. What export-onnx allows counts here too: beside a form "
          "that is not in half precision, an ONNX model most of whose weights are may differ by "
          "a cosine of 0.999 and 5% of the length of an output; TorchScript and an ONNX model "
          "that both round to bytes by 0.1 of the largest value. `same if` says what counted; "
          "--atol and --rtol ask for more.\n\n"
          "NaN equals NaN and an infinity itself, with a warning, unless --finite is given. "
          "Exit code 1 means that outputs differ beyond the gates, that their numbers differ "
          "or that B refuses inputs that A takes. Where nothing can be compared it is another "
          "one: 2 where weights do not fit the architecture, 4 where they are quantised ones.",
      .needs = Needs::engine,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
