// Ranges of activations: a float model is run on samples, one after the other, and each activation
// is looked at and forgotten.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/observer.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace mlc::onnx {

using Observers = std::map<std::string, Observer>;

/// What is looked at: the ends of ranges, or histograms too, which cost a little time.
enum class Observe : uint8_t { bounds, histograms };

/// MODEL gives NAMES as outputs, or takes them as inputs. Errors: those of Model::run() and of
/// reading DATA; conflict for activations that are not finite; internal_error for outputs that are
/// missing.
Result<Observers> calibrate(mlc::Model& model, const CalibrationData& data,
                            std::span<const std::string> names, Observe what, Reporter& reporter);

/// 16 hexadecimal digits that tell DOCUMENT from other models: its nodes, the sizes of its weights
/// and how each begins. Against mistakes, not against intent. Errors: those of reading weights.
Result<std::string> model_mark(const Document& document);

/// The observers as JSON (schemas/quant-stats.schema.json), and back. Errors of reading: corrupt,
/// naming what is wrong.
struct Stats {
  Observers observers;
  uint64_t samples = 0;
  std::string model;  // its model_mark(); empty where the file does not say it
};
std::string stats_json(const Stats& stats);
Result<Stats> read_stats(const std::string& text);

}  // namespace mlc::onnx
