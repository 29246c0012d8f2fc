// How far the outputs of two artefacts of one model are apart.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/tensor/compare.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// An element, and what both sides have there.
struct ElementPair {
  std::vector<int64_t> index;
  double a = 0;
  double b = 0;
};

struct OutputDifference {
  std::string name;            // of A
  std::string name_b;          // of B, where it has another one
  std::string problem;         // why the values cannot be compared: shapes or types; else empty
  DType dtype = DType::f32;    // of A
  DType dtype_b = DType::f32;  // of B
  CompareResult values;
  Tolerance tolerance;    // that the values were held to
  bool integers = false;  // on both sides; booleans count
  /// Rows along the last dimension whose largest value is in the same place, of all; nothing where
  /// there are no rows of at least two real numbers. Of `integers` the part of the elements that
  /// are equal.
  std::optional<double> top1;

  /// The first pair beyond the tolerance; nothing where there is none, or they are no real numbers.
  std::optional<ElementPair> first_mismatch;

  bool within_tolerance() const { return problem.empty() && values.mismatches == 0; }
};

/// What outputs may differ by.
struct OutputTolerances {
  Tolerance usual;
  Tolerance integers = usual;  // of two integers or booleans
  bool by_dtype = false;       // half precision is held to usual_tolerance()
  /// Of floats: atol is at least this part of the largest finite |a|. What models that round to 8
  /// bits are apart by hangs on that, not on each value.
  double of_largest = 0;
};

struct OutputsComparison {
  std::vector<OutputDifference> outputs;  // in the order of A
  std::optional<size_t> first_diverging;  // the first that is not within the tolerance
};

/// What values of dtypes A and B may differ by where nobody said it: TOLERANCE, or what sums in
/// half precision are apart by, whichever is more: 1e-3 + 1e-2 |b| for f16, 1e-2 + 5e-2 |b| for
/// bf16.
Tolerance usual_tolerance(DType a, DType b, Tolerance tolerance);

/// Pairs outputs by name where both sides have the same names, each once, else by position. Types
/// may differ as long as their values can be compared (bf16 with f32). Errors: conflict for
/// different numbers of outputs.
Result<OutputsComparison> compare_outputs(std::span<const NamedValue> a,
                                          std::span<const NamedValue> b,
                                          const OutputTolerances& tolerances);

/// Pairs outputs by name alone, as those of dictionaries are known: in the order of A, then what
/// only B has. One that a side lacks is a problem.
OutputsComparison compare_by_name(std::span<const NamedValue> a, std::span<const NamedValue> b,
                                  const OutputTolerances& tolerances);

}  // namespace mlc
