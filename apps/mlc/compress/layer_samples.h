// What the layers of a checkpoint's model are given, by samples: for methods that choose by data.
#pragma once

#include "files/batch.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

struct LayerSampleOptions {
  std::string architecture;        // of --arch; empty: the one in the file, or its program
  std::string key;                 // of the state_dict
  std::vector<std::string> calib;  // files with samples
  std::function<bool(const std::string&)> wanted;  // by the name of a weight
  std::string unseen;  // what becomes of inputs that are 0 in all samples, for a warning
};

struct LayerSamples {
  std::vector<InputSums> sums;
  uint64_t samples = 0;
};

/// The inputs that SIGNATURE demands, of the types and, where SPECS know them, the sizes that
/// samples must have.
std::vector<OnnxValue> calibration_inputs(const Signature& signature,
                                          std::span<const InputSpec> specs);

/// Builds the model of TASK's input and runs the samples. Errors: those of Artefact::open(),
/// CalibrationData::open() and Model::layer_inputs().
Result<LayerSamples> sample_layers(FileTask& task, const LayerSampleOptions& options);

}  // namespace mlc::cli
