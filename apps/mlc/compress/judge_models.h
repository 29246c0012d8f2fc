// What a changed model costs and gains beside the one that it was made of, in the same engine.
#pragma once

#include "cli/json_writer.h"
#include "files/batch.h"
#include "mlc/engine/calibration_data.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// An output of the changed model beside that of the model that it was made of.
struct JudgedOutput {
  std::string name;
  std::optional<double> sqnr_db;  // nothing where it is exact, or no number can be had
  bool exact = false;
  std::optional<double> cosine;  // the least of all samples
  std::optional<double> top1;    // agreement over all samples
  double max_abs = 0;
};

struct Judgement {
  std::string not_verified;  // why; empty where it was
  std::string engine;
  std::string cpu;  // instructions that matter: "avx2 avx512_vnni"
  unsigned threads = 1;
  int64_t samples = 0;
  int64_t samples_there = 0;  // of --calib; 0 for random ones
  std::string assumed;        // inputs whose sizes choose_usual_sizes() chose
  std::vector<JudgedOutput> outputs;
  double seconds_before = 0;  // least medians of rounds, which both models run in turns
  double seconds_after = 0;
};

struct JudgeOptions {
  /// Inputs of sample I, which any call gives anew.
  std::function<Result<std::vector<NamedValue>>(int64_t)> inputs;
  int64_t samples = 4;
  int64_t samples_there = 0;  // as in Judgement
  unsigned threads = 1;
  double seconds = 0.3;  // of measuring each model; 0: they are only compared
};

/// The samples of DATA, or where that is null random inputs as SPECS say, from SEED on: at most
/// SAMPLES (without it 64 of DATA, or 4 random ones), and one where all inputs come from files. All
/// of them must outlive what comes out.
JudgeOptions judge_options(const std::vector<InputSpec>& specs, const CalibrationData* data,
                           std::optional<int64_t> samples, int64_t seed, unsigned threads,
                           Reporter& reporter);

/// Makes sizes that may vary, and are 1 so far, what is usual as far as their bounds allow: 224 for
/// heights and widths of pictures, for at a size of 1 a convolution computes little more than its
/// padding; 16 for lengths of sequences, for one token attends to nothing and takes no time.
/// Returns what was chosen, "image f32[1, 3, 224, 224]"; empty for nothing.
std::string choose_usual_sizes(std::vector<InputSpec>& specs);

/// What --verify, --no-verify and --require-speedup say.
struct JudgeWish {
  bool verify = false;
  bool no_verify = false;
  bool require_speedup = false;
};
/// Opens ONNX Runtime as ENGINE, where that is null. False, with the reason in JUDGEMENT and, where
/// nobody asked for it, a warning, where the result is not to be run or cannot be. Errors: those of
/// open_engine() where the WISH needs it.
Result<bool> can_judge_onnx(const JudgeWish& wish, std::unique_ptr<Engine>& engine,
                            Judgement& judgement, Reporter& reporter);

/// Runs the models on the same inputs and measures both. Errors: those of the inputs and of
/// BEFORE; internal_error where AFTER refuses what BEFORE takes.
Status judge_models(Engine& engine, Model& before, Model& after, const JudgeOptions& options,
                    Reporter& reporter, Judgement& judgement);

/// The same of the ONNX models at these paths. Errors: also those of Engine::load().
Status judge_onnx(Engine& engine, const std::string& before, const std::string& after,
                  const JudgeOptions& options, Reporter& reporter, Judgement& judgement);

/// What is the matter where adds_products_in_16_bits() of this CPU; goes on with what that does.
inline constexpr std::string_view kCutSums =
    "this CPU, without VNNI, adds products of bytes in 16 bits, which ";

struct JudgeGates {
  double least_cosine = 0.99;
  std::optional<double> min_sqnr;
  bool require_speedup = false;
  /// Products of bytes that this CPU adds in 16 bits are what is judged: see machine.h.
  bool cuts_sums = false;
};
/// The gates of quality alone. Errors: conflict where one is not met, with HINT, and WITHOUT_GATE
/// behind it where that is the cosine.
Status check_outputs(const Judgement& judgement, const JudgeGates& gates, std::string_view hint,
                     std::string_view without_gate = {});
/// Errors: conflict where a gate is not met. Warns where nothing is gained in time.
Status check_judgement(const Judgement& judgement, const JudgeGates& gates, Reporter& reporter);

/// "64 of 200 samples", "4 samples of image f32[1, 3, 224, 224]".
std::string samples_text(const Judgement& judgement);
/// "1.69 to 0.44 ms, 3.80x, ONNX Runtime 1.23.2, 1 thread, avx2 avx512_vnni".
std::string latency_text(const Judgement& judgement);
/// A table of the outputs.
void show_outputs(const Judgement& judgement, FileTask& task);
/// The fields from "verified" to "outputs".
void judgement_json(const Judgement& judgement, JsonWriter& json);

}  // namespace mlc::cli
