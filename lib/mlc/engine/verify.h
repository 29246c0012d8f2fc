// Whether two artefacts are one model: the same inputs, several values and sizes, outputs compared.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// What still counts as the same. A gate that is not set is always passed.
struct VerifyGates {
  Tolerance tolerance{.atol = 1e-5, .rtol = 1e-4, .equal_nan = true};
  std::optional<double> cosine;  // at least, instead of the tolerance
  std::optional<double> top1;    // at least, instead of the tolerance
};

/// One set of inputs.
struct VerifyCase {
  std::string label;  // "seed 0", "seed 0, batch=3"
  std::vector<NamedValue> inputs;
};

/// SAMPLES seeds from SEED on at the example sizes; then, for every named dimension, one case where
/// it has another size within its bounds. Inputs from files have their values and sizes in every
/// case.
Result<std::vector<VerifyCase>> verify_cases(std::span<const InputSpec> specs, uint64_t seed,
                                             uint64_t samples, Reporter& reporter);

struct CaseResult {
  std::string label;
  std::string failure;  // what B said where it refused the inputs that A took; else empty
  OutputsComparison comparison;
  /// The first output that does not pass the gates.
  std::optional<size_t> first_failing;

  bool passed() const { return failure.empty() && !first_failing; }
};

/// Errors: those of A, and of B that are none of its inputs (unsupported, memory, ...).
Result<CaseResult> verify_case(Model& a, Model& b, const VerifyCase& inputs,
                               const VerifyGates& gates);

}  // namespace mlc
