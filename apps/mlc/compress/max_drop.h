// --max-drop: as much of a model is quantised as its outputs allow.
//
// All layers are quantised and the result measured. Where it loses too much, each layer is
// quantised alone, on a few samples, for what it costs; then the worst are undone, as few as will
// do: those of four bits get eight first, then layers stay in floats, and where that was needed, as
// many of the others as can get their four bits back. Where none of that will do, layers stay in
// floats with four bits for all others.
#pragma once

#include "compress/drop_view.h"
#include "compress/judge_models.h"
#include "compress/quantize_onnx.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mlc::cli {

struct DropWish {
  DropGoal goal;
  std::optional<CalibrationData> labels;  // with DropOf::labels
  DType label_dtype = DType::i64;
};
/// What --max-drop, --drop-of and --labels say. Errors: usage, those of CalibrationData::open().
Result<DropWish> read_drop_wish(const QuantizeOnnxOptions& options, Reporter& reporter);

/// Weights, by name, that are quantised less than was asked for.
struct Undone {
  std::set<std::string, std::less<>> bytes;   // eight bits in place of four
  std::set<std::string, std::less<>> floats;  // not at all
};

/// A layer that a trial has quantised; several may share a weight.
struct DropLayer {
  std::string weight;
  bool has_four_bits = false;
};

struct DropTrial {
  std::shared_ptr<const void> file;  // that the model is read from, as long as it lives
  std::unique_ptr<Model> model;
  std::vector<DropLayer> layers;
};

/// A model, and what it becomes when parts of it are quantised.
class DropSubject {
 public:
  virtual ~DropSubject() = default;
  /// In floats. Errors: those of engines.
  virtual Result<std::unique_ptr<Model>> source() = 0;
  /// Quantised as asked for, less what is UNDONE. Errors: those of quantising and of engines.
  virtual Result<DropTrial> make(const Undone& undone) = 0;
};

/// Chooses what of SUBJECT is undone. Where the goal cannot be reached, the answer is what loses
/// least of all that was measured. Errors: those of SUBJECT and of the inputs; usage for labels
/// that do not fit the outputs.
Result<DropAnswer> reach_drop(DropSubject& subject, const JudgeOptions& samples,
                              const DropWish& wish, Reporter& reporter);

}  // namespace mlc::cli
