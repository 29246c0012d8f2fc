// Whether two artefacts are one model: the same inputs, several values and sizes, outputs compared.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// What still counts as the same. A gate that is not set is always passed. An output without rows
/// for top1 has to pass the other gate, or the tolerance.
struct VerifyGates {
  Tolerance tolerance{.atol = 1e-5, .rtol = 1e-4, .equal_nan = true};
  Tolerance integers{.atol = 0, .rtol = 0, .equal_nan = true};  // of two integers or booleans
  /// The tolerance is only the usual one: half precision is held to usual_tolerance(), of outputs
  /// and of weights, whose sums are no nearer in outputs of another type.
  bool by_dtype = false;
  double of_largest = 0;         // as in OutputTolerances
  std::optional<double> cosine;  // at least, instead of the tolerance
  /// At most, beside the cosine, which knows no length: the Euclidean norm of a - b over that of b.
  std::optional<double> rel_norm;
  /// Outputs of fewer elements have to pass the tolerance: the angle between few numbers says
  /// little, and that of one number nothing.
  uint64_t least_for_cosine = 0;
  std::optional<double> top1;  // at least, instead of the tolerance
  /// The tolerance counts beside the other gates, because somebody gave it.
  bool with_tolerance = false;
  /// NaN and infinite values are unlike anything, also where both sides have them.
  bool finite = false;
  /// An output of another type is another output: of a form that must give what the model gives.
  bool same_types = false;
  /// Types of all weights in the files of A and B, which may compute in wider ones; with by_dtype.
  std::vector<DType> weights;
};

/// One set of inputs, which are made when it is their turn: all together may fill the memory.
struct VerifyCase {
  std::string label;  // "seed 0", "seed 0, batch=3"
  std::vector<InputSpec> specs;
  uint64_t seed = 0;
  std::string other_size;  // "batch=3", where nobody asked for this size
  /// The next sizes to try where A refuses this one, as a model that halves sizes refuses odd ones.
  std::vector<VerifyCase> instead;
  /// Of those, a size of 1, which goes through what has another size baked in: it is broadcast.
  bool may_broadcast = false;
};

/// The values that SPECS hold, if any do; SAMPLES seeds from SEED on at the example sizes, in which
/// integers keep the values that are held; then, for every named dimension, one case where
/// it has another size within its bounds; where A does not take that twice the example, or one
/// less. Inputs from files have their values and sizes in every
/// case.
std::vector<VerifyCase> verify_cases(std::span<const InputSpec> specs, uint64_t seed,
                                     uint64_t samples);

/// What a new form of a model is tried at: SAMPLES seeds from SEED on at the example sizes; then,
/// for every named dimension, one more than twice its example, or as much as its bounds and A
/// allow; the same together with another dimension that grows by as much, where A takes no more;
/// one less than the example where A does not take that either; and 1, where its bounds and LEAST
/// (by its name) allow that.
std::vector<VerifyCase> export_cases(std::span<const InputSpec> specs, uint64_t seed,
                                     uint64_t samples, const std::map<std::string, int64_t>& least);

struct UpperEnds {
  std::vector<VerifyCase> cases;
  std::vector<VerifyCase> too_large;  // not to be tried
};

/// For every named dimension with bounds, a case where it has its upper bound, unless CASES have
/// one. Too large are inputs of more than a few million elements; and, for sizes that are not in
/// ASKED, because a range is often declared wider than anybody uses it, those of more than some
/// ten thousand that are more than a hundred times the example.
UpperEnds upper_ends(std::span<const InputSpec> specs, std::span<const VerifyCase> cases,
                     uint64_t seed, const std::set<std::string>& asked);

/// For every dimension in ASKED with bounds above 1, a case where it has its lower bound, unless
/// CASES have one.
std::vector<VerifyCase> lower_ends(std::span<const InputSpec> specs,
                                   std::span<const VerifyCase> cases, uint64_t seed,
                                   const std::set<std::string>& asked);

/// Whether an input of SPECS has random integers or booleans: what a model does may hang on such
/// values, as on lengths and masks, in ways that few samples show.
bool draws_integers(std::span<const InputSpec> specs);

struct CaseResult {
  std::string label;
  std::string other_size;   // of VerifyCase
  std::string not_checked;  // "A refuses batch=3: ..."; then nothing below is set
  /// Why a size before this one was not checked, as not_checked says it; else empty.
  std::string instead_of;
  std::string failure;   // why nothing could be compared; else empty
  bool refused = false;  // B refused the inputs that A took, and the failure is what it said
  OutputsComparison comparison;
  /// The first output that does not pass the gates.
  std::optional<size_t> first_failing;

  bool passed() const { return failure.empty() && !first_failing; }
};

/// What an output did not pass. Of values that cannot be compared at all, and of NaN and infinite
/// ones that count, no number tells.
enum class Gate : uint8_t { values, tolerance, cosine, rel_norm, top1 };

/// The gates that OUTPUT does not pass; none where it counts as the same.
std::vector<Gate> failed_gates(const OutputDifference& output, const VerifyGates& gates);
bool counts_as_same(const OutputDifference& output, const VerifyGates& gates);
/// Whether the tolerance alone decides about OUTPUT.
bool held_to_tolerance(const OutputDifference& output, const VerifyGates& gates);

/// Errors: those of making the inputs; of A, unless the case has another size, and of B that are
/// none of its inputs (memory, ...); unsupported where A gives no outputs.
Result<CaseResult> verify_case(Model& a, Model& b, const VerifyCase& one, const VerifyGates& gates,
                               Reporter& reporter);

}  // namespace mlc
