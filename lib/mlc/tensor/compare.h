// How far two tensors of one shape are apart.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/tensor_view.h"

#include <cstdint>
#include <optional>

namespace mlc {

/// The rule of torch.allclose: |a - b| <= atol + rtol * |b|, in double; equal infinities are close.
struct Tolerance {
  double atol = 1e-8;
  double rtol = 1e-5;
  bool equal_nan = false;  // two NaNs are close
};

/// Values are as in TensorStats, but complex numbers are compared as such: |a - b| is the magnitude
/// of their difference. That of 64-bit integers, from each other or from floats, is exact before it
/// is rounded to a double.
struct CompareResult {
  uint64_t count = 0;                      // values compared
  uint64_t mismatches = 0;                 // beyond the tolerance
  std::optional<uint64_t> first_mismatch;  // row-major index of a value
  double max_abs = 0;  // largest |a - b|, infinite where one is; NaNs take no part
  /// Largest |a - b| / |b|, infinite where only b is zero or |a - b| is infinite; NaNs take no
  /// part.
  double max_rel = 0;
  uint64_t nan_pairs = 0;       // exactly one of both is NaN
  uint64_t infinite_pairs = 0;  // |a - b| is infinite: one of both is, or both with other signs
  uint64_t both_nan = 0;        // pairs of NaNs
  uint64_t both_infinite = 0;   // pairs of one infinity
  /// Euclidean norm of a - b over that of b, of the pairs of finite values; nothing where b is
  /// zero.
  std::optional<double> rel_norm;
  std::optional<double> cosine;  // over the pairs of finite values; nothing if a side is all zero
  bool bit_equal = true;         // equal types and bytes

  /// The cosine; 0 where one of both has values that the other lacks altogether, be they numbers
  /// beside zeros only, NaN or infinite. Nothing where both are zero.
  std::optional<double> likeness() const;
};

/// Compares paired pieces of two tensors, in their order. Not thread-safe.
class Comparer {
 public:
  Comparer(DType a, DType b, const Tolerance& tolerance) : a_(a), b_(b), tolerance_(tolerance) {}

  /// Adds whole elements, as many in both. Requires: can_compare() of the dtypes.
  void add(Bytes a, Bytes b);
  /// Adds what NEXT was given, which are the elements that follow those of this one. Requires: the
  /// same dtypes and tolerance.
  void merge(const Comparer& next);
  /// As if each pair that was added had been there TIMES times; first_mismatch stays as it is.
  void repeat(uint64_t times);
  CompareResult result() const;

 private:
  struct Chunk;
  void add_chunk(Bytes a, Bytes b, Chunk& chunk);
  void measure(Bytes a, Bytes b, Chunk& chunk) const;
  void judge(const Chunk& chunk);
  void judge_finite(const Chunk& chunk);
  bool correlate(const Chunk& chunk);

  DType a_;
  DType b_;
  Tolerance tolerance_;
  CompareResult result_;
  double dot_ = 0;
  double norm_a_ = 0;  // squared, as is the next
  double norm_b_ = 0;
  double norm_difference_ = 0;  // likewise
};

/// Whether elements of both types stand for as many values of one kind: not complex with real, not
/// packed with anything but itself.
bool can_compare(DType a, DType b);

/// Compares two views of equal sizes. Errors: unsupported for types that cannot be compared,
/// conflict for different sizes, those of for_each_block().
Result<CompareResult> compare_tensors(const TensorView& a, const TensorView& b,
                                      const Tolerance& tolerance);

}  // namespace mlc
