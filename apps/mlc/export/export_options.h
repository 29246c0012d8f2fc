// The options of `mlc export-onnx`.
#pragma once

#include "cli/option_set.h"
#include "mlc/base/output_file.h"
#include "mlc/engine/verify.h"
#include "mlc/onnx_write/write.h"
#include "models/engine_options.h"
#include "models/tolerance_options.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::cli {

/// Everything that was typed.
struct ExportOptions {
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
  int64_t samples = 0;  // 0: nobody said how many
  ToleranceOptions tolerance;
  std::string output;
  std::string report;
  bool force = false;
  bool sync = false;
  bool dry_run = false;

  /// That floats of the source become smaller ones.
  bool is_narrow() const { return engine.dtype == "fp16" || engine.dtype == "bf16"; }
  /// What the result may differ by from its source, as far as the options say.
  VerifyGates gates() const;
  /// How the source and the result are loaded: floats of the source stay wide.
  LoadOptions load_options(Context& context) const;
  OutputOptions output_options() const { return {.replace = force, .sync = sync, .mode = 0}; }
};

void setup_export(OptionSet& set, ExportOptions& options);
/// What contradicts itself or is missing, and outputs that may not be written. Errors: usage, those
/// of OutputFile::check().
Status check_export_options(const ExportOptions& options);

}  // namespace mlc::cli
