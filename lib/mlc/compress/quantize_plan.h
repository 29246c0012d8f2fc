// Which tensors of a state_dict are quantised how, and what becomes of each: decided from names and
// shapes, then from the weights, before anything is written.
//
//   plan_quantization()   rules: every tensor of several dimensions but biases and small ones
//   scan_weights()        reads the weights: scales, what is not finite, on demand the error
//   reach_goals()         other schemes where an error or the size is too large
//   apply_quantization()  the checkpoint with the new tensors (quantize.h)
#pragma once

#include "mlc/base/glob.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/compress/recipe.h"
#include "mlc/compress/weight_quant.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// Why a tensor stays as it is.
enum class Kept : uint8_t {
  no,             // it does not
  not_floating,   // integers
  empty,          // without elements
  not_plain,      // sparse and distributed tensors, what has no plain elements
  one_dimension,  // biases, norms, scalars
  bias,           // by its name
  small,          // fewer elements than the recipe asks for
  by_recipe,      // excluded, not included, or a rule that says keep
  no_gain,        // codes and scales would take as many bytes
  layout,         // compressed-tensors has no place for it: a fallback
  not_linear,     // nor for what is no weight of a linear layer, as loaders know them
  not_finite,     // a weight is infinite or NaN: a fallback
  out_of_range,   // a weight is too large for what it would become: a fallback
  too_small,      // all weights are too small for it, and would be zero: a fallback
  sqnr,           // nothing else reaches the SQNR that was asked for: a fallback
  target_size,    // the size that was asked for has room for its floats
  quantized,      // PyTorch's quantised tensors: their codes stay
  in_value,       // within a value that is no tensor: biases beside packed weights
};
/// "one dimension", as reports say it; and as --json does: "one_dimension".
std::string_view kept_text(Kept kept);
std::string_view kept_word(Kept kept);

/// One tensor under all its names.
struct WeightPlan {
  std::vector<std::string> names;  // the first one is where it is kept in the record
  uint32_t tensor = kNoIndex;
  bool in_value = false;  // named by its path, as tensors_in_values() does; kept
  QuantScheme asked;
  QuantScheme scheme;  // what it gets; other than asked: a fallback
  Kept kept = Kept::no;
  uint64_t nans = 0;
  uint64_t infinities = 0;
  /// Of an integer scheme, once scanned.
  std::shared_ptr<WeightQuantizer> quantizer;
  bool scanned = false;
  std::optional<ErrorSums> sums;  // once measured
  double largest = 0;             // magnitude of a weight, once scanned
  /// Rounding awq may give it scales of inputs (input_scales.h), for which sizes leave room.
  bool may_have_input_scale = false;
  double input_power = 0;  // that they are of; 0: it has none

  bool is_quantized() const { return scheme.kind != SchemeKind::keep; }
  bool is_fallback() const { return scheme != asked; }
  bool has_input_scale() const { return may_have_input_scale || input_power > 0; }
  double sqnr() const { return sqnr_db(sums->signal, sums->noise); }
};

struct QuantizePlan {
  QuantFormat format = QuantFormat::plain;
  Rounding rounding = Rounding::rtn;
  std::vector<WeightPlan> weights;             // in the order of the state_dict
  std::vector<UnusedPattern> unused_patterns;  // of the recipe
};

/// Whether FORMAT has words for all schemes that RECIPE asks for. Error: usage, for the first that
/// it has not.
Status check_schemes(const QuantRecipe& recipe, QuantFormat format);

/// A tensor that a rule of its own names and that stays as it is counts as a fallback where the
/// rule is carried out for no tensor: one for a whole module passes over its biases. Errors:
/// conflict for weights that lie beside masks as NAME_orig and NAME_mask; unsupported for expanded
/// tensors that are too much (expansion.h).
Result<QuantizePlan> plan_quantization(const Checkpoint& checkpoint, const StateDict& state_dict,
                                       const QuantRecipe& recipe, QuantFormat format);

struct ScanOptions {
  bool measure = false;  // WeightPlan::sums
  unsigned threads = 1;
};
/// Reads every quantised weight that is not scanned, or not measured, yet. Those with a weight that
/// is not finite are kept. The storages are known to be sound (check_storages()). Errors: those of
/// Checkpoint::view(), interrupted.
Status scan_weights(const Checkpoint& checkpoint, QuantizePlan& plan, const ScanOptions& options,
                    Reporter& reporter);

struct QuantGoals {
  std::optional<double> min_sqnr;  // dB, of every weight
  uint64_t max_bytes = 0;          // of the file; 0: any
  /// Bytes of the file that a plan makes. Requires: set where max_bytes is.
  std::function<Result<uint64_t>(const QuantizePlan& plan)> file_size = {};
};
struct GoalReport {
  bool reached = true;
  std::string shortfall;  // why not: a sentence
};
/// Chooses schemes so that the goals are reached, where that is possible. Errors: those of
/// scan_weights() and of file_size.
Result<GoalReport> reach_goals(const Checkpoint& checkpoint, QuantizePlan& plan,
                               const QuantGoals& goals, const ScanOptions& options,
                               Reporter& reporter);

/// The tensors of STATE_DICT that PyTorch has quantised, tied ones once: in its entries and, packed
/// by modules, in its values.
std::vector<std::string> quantized_by_torch(const Checkpoint& checkpoint,
                                            const StateDict& state_dict);
/// Adds to PLAN what is kept within the values of STATE_DICT where PyTorch has quantised some of
/// it, so that it is counted.
void add_tensors_in_values(const Checkpoint& checkpoint, const StateDict& state_dict,
                           QuantizePlan& plan);

/// How the weight is described in the file. Requires: is_quantized().
QuantizedTensor described(const Checkpoint& checkpoint, const WeightPlan& weight);
/// Bytes that the weight takes now and as planned, scales and shape included.
uint64_t bytes_before(const Checkpoint& checkpoint, const WeightPlan& weight);
uint64_t bytes_after(const Checkpoint& checkpoint, const WeightPlan& weight);

}  // namespace mlc
