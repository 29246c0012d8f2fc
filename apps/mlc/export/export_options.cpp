#include "export/export_options.h"

#include "mlc/base/text.h"
#include "mlc/engine/input_spec.h"

#include <array>
#include <string_view>
#include <utility>

namespace mlc::cli {
namespace {

constexpr std::array<std::pair<std::string_view, onnx::ExternalData>, 3> kExternal = {{
    {"auto", onnx::ExternalData::automatic},
    {"always", onnx::ExternalData::always},
    {"never", onnx::ExternalData::never},
}};

}  // namespace

VerifyGates ExportOptions::gates() const {
  VerifyGates out;
  tolerance.apply(out, kEnginesRtol);
  return out;
}

LoadOptions ExportOptions::load_options(Context& context) const {
  LoadOptions out = engine.load_options(context, Purpose::once);
  if (is_narrow()) out.dtype.reset();
  return out;
}

void setup_export(OptionSet& set, ExportOptions& options) {
  set.optional_positional("MODEL", options.model,
                          "checkpoint with an architecture, TorchScript, or .pt2");
  set.group("ONNX");
  set.integer("--opset", options.opset, "N",
              "13 to 23 (default 17, or the least one that the operators need)", 13, 23);
  set.list("--dim", options.dims, "OLD=NEW",
           "rename a varying size of a .pt2: batch=N; two with one name become one size");
  set.choice("--external-data", options.external, kExternal,
             "weights in FILE.data beside the model: auto (above 1.8 GB, the default), always "
             "(but for weights below 1 KiB), never");
  set.flag(
      "--partial", options.partial,
      "keep operators that mlc does not know, in the domain mlc.aten (or that of their namespace)");
  set.flag("--simplify", options.simplify,
           "accepted and without effect: constants are folded and shorter forms found in any case");
  set.flag("--origins", options.origins,
           "say in the doc_string of each node which operator, module and source line it is from");
  set.file("--op-map", options.op_map, "FILE",
           "YAML that says what operators become: {version: 1, operators: [{from: mylib::turn, to: "
           "Turn, "
           "domain: com.mine}]}; all that it can say is in schemas/op-map.schema.json");
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
              "random inputs at the given sizes (default 2; 4 where integers or booleans are among "
              "them), from --seed on",
              1, 10'000);
  add_tolerance_options(set, options.tolerance, "1e-3",
                        "; with --dtype fp16 or bf16 the cosine has to be 0.999 instead");
  set.group("Output");
  set.file("-o, --output", options.output, "FILE", "the ONNX file to write (.onnx)");
  set.is_written(kOnnxDataEnd);
  set.file("--report", options.report, "FILE",
           "an HTML page that says what was made and how it compares, also where it does not pass");
  set.is_written();
  set.flag("-f, --force", options.force, "replace an output or a report that exists");
  set.flag("--sync", options.sync, "wait until a new file is on the disk");
  set.flag("-n, --dry-run", options.dry_run, "do everything but give the file its name");
}

Status check_export_options(const ExportOptions& options) {
  MLC_CHECK(parse_input_specs(options.engine.inputs));
  if (options.verify && options.no_verify) {
    return usage_error("--verify and --no-verify contradict each other");
  }
  if (options.model.empty()) {
    return usage_error("MODEL is missing", "as in `mlc export-onnx model.pt2 -o model.onnx`");
  }
  if (options.list_ops || options.dump_graph) return {};
  if (options.output.empty()) {
    return usage_error("-o FILE is missing: there is nowhere to write to",
                       "as in `mlc export-onnx " + printable(options.model) + " -o model.onnx`");
  }
  if (!options.output.ends_with(".onnx")) {
    return usage_error("the output would be an ONNX file under the name " + quoted(options.output),
                       "name it .onnx");
  }
  MLC_CHECK(parse_input_specs(options.engine.inputs));
  if (!options.report.empty() && options.report == options.output) {
    return usage_error("-o and --report name the same file");
  }
  MLC_CHECK(refuse_output_over_model(options.output, options.model));
  for (const std::string& file : {options.output, options.report}) {
    if (file.empty()) continue;
    MLC_CHECK(OutputFile::check(file, options.output_options()));
  }
  return {};
}

}  // namespace mlc::cli
