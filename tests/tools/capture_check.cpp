// Captures a model, prints the graph, and runs both at other sizes:
//
//   capture_check model.pt [--arch net.yaml] --input 'x:f32[batch=2,3]' [--at batch=5 ...]
//
// Exit code 0: the same outputs everywhere; 1: not; 3: an error, which stderr has.
#include "mlc/base/text.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/ir/graph.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <unistd.h>

namespace {

using namespace mlc;

struct Options {
  std::string model;
  std::string architecture;
  std::vector<std::string> inputs;
  std::vector<std::map<std::string, int64_t>> sizes;
};

/// "batch=5,seq=9".
std::map<std::string, int64_t> sizes_in(std::string_view text) {
  std::map<std::string, int64_t> out;
  for (const std::string_view part : split(text, ',')) {
    const size_t equals = part.find('=');
    out[std::string(part.substr(0, equals))] =
        std::atoll(std::string(part.substr(equals + 1)).c_str());
  }
  return out;
}

Options parse(int argc, char** argv) {
  Options out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--arch" && has_value) {
      out.architecture = argv[++i];
    } else if (word == "--input" && has_value) {
      out.inputs.emplace_back(argv[++i]);
    } else if (word == "--at" && has_value) {
      out.sizes.push_back(sizes_in(argv[++i]));
    } else {
      out.model = word;
    }
  }
  return out;
}

Result<std::vector<NamedValue>> run(Model& model, const std::vector<NamedValue>& inputs) {
  MLC_CHECK(model.set_inputs(inputs));
  MLC_CHECK(model.run());
  return model.outputs();
}

/// Whether both models give the same for inputs of SIZES.
Result<bool> compare_at(Model& model, Model& captured, std::vector<InputSpec> specs,
                        const std::map<std::string, int64_t>& sizes) {
  for (InputSpec& spec : specs) {
    for (InputDim& dim : spec.dims) {
      if (const auto size = sizes.find(dim.symbol); size != sizes.end()) dim.example = size->second;
    }
  }
  compute_sizes(specs);
  MLC_TRY(const std::vector<NamedValue> inputs, sample_inputs(specs, 3, null_reporter()));
  MLC_TRY_CTX(const std::vector<NamedValue> wanted, run(model, inputs), "the model");
  MLC_TRY_CTX(const std::vector<NamedValue> given, run(captured, inputs), "the capture");
  MLC_TRY(const OutputsComparison all,
          compare_outputs(wanted, given, {Tolerance{1e-5, 1e-4}, Tolerance{0, 0}}));
  bool same = true;
  for (const OutputDifference& one : all.outputs) {
    same = same && one.within_tolerance() && one.name_b.empty();
    fmt::print("# {} {}: {} {}\n", one.within_tolerance() ? "same" : "DIFFERENT", one.name,
               one.problem, one.values.max_abs);
  }
  return same;
}

Result<bool> check(const Options& options) {
  MLC_TRY(const Artefact artefact,
          Artefact::open(options.model, {options.architecture, ""}, null_reporter()));
  std::vector<InputSpec> specs = artefact.inputs();
  if (!options.inputs.empty()) {
    MLC_TRY(specs, parse_input_specs(options.inputs));
  }
  MLC_TRY(const auto engine, open_engine(EngineKind::torch));
  MLC_TRY(const auto model, artefact.load(*engine, {}, null_reporter()));
  MLC_TRY(const CaptureRequest request, capture_request(specs, 0, null_reporter()));
  const auto before = std::chrono::steady_clock::now();
  MLC_TRY(CapturedProgram captured, model->capture(request));
  const std::chrono::duration<double, std::milli> past = std::chrono::steady_clock::now() - before;
  fmt::print("{}", ir::to_text(captured.program.graph));
  for (const std::string& note : captured.notes) fmt::print("# note: {}\n", note);
  for (const ProgramOutput& output : captured.program.outputs)
    fmt::print("# output: {}\n", output.name);
  fmt::print("# captured in {:.0f} ms\n", past.count());
  const ProgramSource source{std::make_shared<ExportedProgram>(std::move(captured.program)),
                             captured.weight};
  MLC_TRY(const auto other, engine->interpret(source, {}, null_reporter()));
  bool same = true;
  for (const auto& sizes : options.sizes) {
    MLC_TRY(const bool here, compare_at(*model, *other, request.inputs, sizes));
    same = same && here;
  }
  return same;
}

}  // namespace

int main(int argc, char** argv) {
  const auto same = check(parse(argc, argv));
  if (!same.ok()) {
    fmt::print(stderr, "error: {}\nhint: {}\n", same.error().text(), same.error().hint());
  }
  std::fflush(nullptr);
  _exit(!same.ok() ? 3 : *same ? 0 : 1);  // nothing that LibTorch would take apart is needed
}
