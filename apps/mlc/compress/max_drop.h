// --max-drop: as much of an ONNX model is quantised as its outputs allow.
//
// All layers are quantised and the result measured. Where it loses too much, each layer is
// quantised alone, on a few samples, for what it costs; then the worst are undone, as few as will
// do: those of four bits get eight first, then layers stay in floats, and where that was needed, as
// many of the others as can get their four bits back.
#pragma once

#include "compress/drop_view.h"
#include "compress/judge_models.h"
#include "compress/onnx_quantizer.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <string>

namespace mlc::cli {

struct DropWish {
  DropGoal goal;
  const CalibrationData* labels = nullptr;  // with DropOf::labels
};

/// Chooses what of HOW is undone: HOW.bytes and HOW.floats. Where the goal cannot be reached, HOW
/// is what loses least of all that was measured. Errors: those of QUANTIZER, of the engine and of
/// the inputs; usage for labels that do not fit the outputs.
Result<DropAnswer> reach_drop(OnnxQuantizer& quantizer, const std::string& source,
                              std::unique_ptr<Engine>& engine, const JudgeOptions& samples,
                              const DropWish& wish, Reporter& reporter, onnx::QuantOptions& how);

}  // namespace mlc::cli
