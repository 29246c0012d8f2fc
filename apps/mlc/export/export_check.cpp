#include "export/export_check.h"

#include "export/export_numbers.h"
#include "export/export_sizes.h"
#include "export/op_map_checks.h"
#include "export/stated_sizes.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/engine/cast_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/number_inputs.h"
#include "mlc/engine/onnx_artefact.h"
#include "mlc/engine/related_sizes.h"
#include "mlc/engine/usual_gates.h"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

// Whose operators are within ONNX Runtime.
constexpr std::string_view kRuntimeDomains[] = {"ai.onnx.ml", "com.microsoft"};

/// The options that give what ONE, or what was tried in its place, has at OTHER_SIZE.
std::string inputs_of(const VerifyCase& one, const std::string& other_size) {
  const VerifyCase* found = &one;
  for (const VerifyCase& instead : one.instead) {
    if (instead.other_size == other_size) found = &instead;
  }
  std::string out;
  for (InputSpec spec : found->specs) {
    // What was given did not run; smaller sizes than this were not tried.
    for (InputDim& dim : spec.dims)
      if (dim.bounds) dim.bounds->first = std::max(dim.bounds->first, dim.example);
    out += (out.empty() ? "" : " ") + ("--input " + shell_word(to_text(spec)));
  }
  return out;
}

bool has_quantize_linear(const onnx::Model& model) {
  return std::ranges::any_of(model.nodes,
                             [](const onnx::Node& one) { return one.op == "QuantizeLinear"; });
}

}  // namespace

/// That the result is not run, or an error where --verify asks for it.
Result<bool> ExportCheck::cannot_verify(Error why) {
  if (options_.verify) return std::move(why).during("--verify");
  answer_.not_verified = why.message();
  context_.reporter.warn("the result was not run: " + answer_.not_verified);
  return false;
}

/// Opens both engines and the source; false, with the reason in the answer, where that cannot be.
Result<bool> ExportCheck::can_verify(const onnx::Model& model) {
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
  MLC_TRY(Artefact source,
          Artefact::open(options_.model, options_.engine.artefact_options(), null_reporter()));
  source_.emplace(std::move(source));
  auto loaded = source_->load(*torch_, options_.load_options(context_), null_reporter());
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

/// Loads the file, which has no name yet.
Result<std::unique_ptr<Model>> ExportCheck::load_written() {
  MLC_TRY(auto opened, OnnxArtefact::open(written_->path()));
  if (!opened) return internal_error("the new file is no ONNX model");
  LoadOptions how = options_.load_options(context_);
  const bool is_cast = how.dtype.has_value();
  how.dtype.reset();  // the file has the types that --dtype asked for
  MLC_TRY(auto model, opened->load(written_->path(), *onnxruntime_, how, null_reporter()));
  if (source_->exported() == nullptr) {
    NumberInputs numbers{answer_.numbers, {}};
    for (const FrozenNumber& one : answer_.frozen) numbers.frozen.insert(one.name);
    model = with_number_inputs(std::move(model), std::move(numbers));
  }
  // The source goes on taking inputs of its own types, which its file may hold.
  return is_cast ? with_cast_inputs(std::move(model), std::nullopt) : std::move(model);
}

/// ERROR is what the source says to the sizes that were given: with one of CASES that it takes.
Error ExportCheck::at_given_sizes(Error error, Model& written, std::span<const VerifyCase> cases) {
  if (error.kind() != ErrorKind::usage) return error;
  for (const VerifyCase& one : cases) {
    for (const VerifyCase* other : {&one, one.instead.empty() ? &one : &one.instead.back()}) {
      if (other->other_size.empty()) continue;
      const auto result =
          verify_case(*source_model_, written, *other, answer_.check.gates, null_reporter());
      if (!result.ok() || !result->not_checked.empty()) continue;
      return Error(error.kind(), error.text(),
                   "with these sizes the model runs: " + inputs_of(*other, result->other_size));
    }
  }
  return error;
}

/// Both ends of ranges that somebody typed, where these are not too large to be tried.
void ExportCheck::add_range_ends(const std::vector<InputSpec>& specs, uint64_t seed,
                                 std::vector<VerifyCase>& cases) const {
  const std::set<std::string> asked = options_.engine.typed_ranges();
  std::vector<VerifyCase> ends = lower_ends(specs, cases, seed, asked);
  for (VerifyCase& one : upper_ends(specs, cases, seed, asked).cases) {
    if (asked.contains(one.other_size.substr(0, one.other_size.find('='))))
      ends.push_back(std::move(one));
  }
  for (VerifyCase& one : ends) cases.push_back(std::move(one));
}

std::vector<VerifyCase> ExportCheck::all_cases(const Artefact& source,
                                               const std::vector<InputSpec>& given,
                                               const std::map<std::string, int64_t>& least) const {
  const ExportedProgram* program = source.exported() ? &source.exported()->program() : nullptr;
  // Sizes that somebody typed as numbers are meant to be fixed.
  const bool is_typed = !options_.engine.inputs.empty();
  const auto specs = is_typed ? given : with_computed_sizes(given, program);
  const int64_t usual = draws_integers(specs) ? 4 : 2;
  const int64_t samples = options_.samples > 0 ? options_.samples : usual;
  const auto seed = static_cast<uint64_t>(options_.engine.seed);
  auto cases = export_cases(specs, seed, static_cast<uint64_t>(samples), least);
  add_range_ends(specs, seed, cases);
  cases = with_related_sizes(std::move(cases), specs, program);
  for (VerifyCase& one : number_cases(specs, answer_.numbers, seed))
    cases.push_back(std::move(one));
  return cases;
}

/// Compares the file, which has no name yet, with the source.
Status ExportCheck::compare(const onnx::Model& model, const std::vector<InputSpec>& specs,
                            const std::vector<VerifyCase>& cases) {
  auto opened = load_written();
  if (!opened.ok() && !options_.op_map.empty())
    return refused_map(std::move(opened).error(), options_.op_map);
  MLC_TRY_CTX(auto loaded, std::move(opened), "reading the new file back");
  std::string other_sizes;
  const auto written = with_stated_sizes(std::move(loaded), model, other_sizes);
  answer_.check.a = options_.model;
  answer_.check.b = "the new file";
  answer_.check.engine = torch_->title();
  answer_.check.engine_b = onnxruntime_->title();
  answer_.check.device = source_model_->device();
  answer_.check.gates = gates_;
  for (const VerifyCase& one : cases) {
    if (context_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    auto done = verify_case(*source_model_, *written, one, answer_.check.gates, null_reporter());
    const bool is_memory = !done.ok() && done.error().kind() == ErrorKind::read_failed;
    if (is_memory && !one.other_size.empty()) {
      context_.console.note(printable(one.other_size) + " was not tried: " + done.error().text());
      continue;
    }
    if (!done.ok()) return at_given_sizes(std::move(done).error(), *written, cases);
    CaseResult result = std::move(*done);
    if (!other_sizes.empty()) {
      return Error(ErrorKind::internal,
                   other_sizes + " (" + result.label + "); nothing was written",
                   "--no-verify writes it all the same, to look at");
    }
    // Few models say that a size may not be 1, and some then have no result. What numbers may be
    // no model says.
    const std::string varied = one.other_size.substr(0, one.other_size.find('='));
    const bool is_number = std::ranges::find(answer_.numbers, varied) != answer_.numbers.end();
    const bool may_refuse = is_number || one.other_size.ends_with("=1");
    if (!result.not_checked.empty() && may_refuse) continue;
    warn_of_largest_size(result, specs, context_.reporter);
    auto& results = result.not_checked.empty() ? answer_.check.cases : answer_.check.not_checked;
    results.push_back(std::move(result));
  }
  return {};
}

Result<bool> ExportCheck::run(const Artefact& source, const onnx::Model& model,
                              const onnx::ModelOutput& out, const std::vector<InputSpec>& specs,
                              const std::map<std::string, int64_t>& least) {
  MLC_TRY(const bool can, can_verify(model));
  if (!can) return false;
  MLC_TRY(ReadableModel readable, ReadableModel::of(out, options_.output));
  written_.emplace(std::move(readable));
  gates_ = options_.gates();
  gates_.same_types = options_.engine.dtype.empty();
  set_usual_gates({.half = options_.is_narrow(), .bytes = has_quantize_linear(model)}, gates_);
  MLC_CHECK_CTX(compare(model, specs, all_cases(source, specs, least)),
                "checking " + options_.output);
  return true;
}

}  // namespace mlc::cli
