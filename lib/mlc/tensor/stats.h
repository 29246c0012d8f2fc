// What the numbers of a tensor look like: range, mean, spread, zeros and NaNs.
//
// The answer does not depend on how the work was spread over threads: values are summed up in
// blocks of kStatsBlock bytes, and the blocks are merged in the order of the tensor.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/tensor_view.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlc {

/// The exact range of 64-bit integers, as text: int64_t and uint64_t do not fit one type.
struct IntegerRange {
  std::string min;
  std::string max;
};

/// Of the magnitudes of complex numbers, of the raw integers of quantized types, of the single
/// values of packed ones. Integers beyond 2^53 are rounded to doubles, but for
/// `integers`.
struct TensorStats {
  uint64_t count = 0;  // values
  uint64_t zeros = 0;
  uint64_t nans = 0;
  uint64_t infs = 0;
  std::optional<double> min, max;  // of all but NaNs; nothing where no value is left
  std::optional<double> mean;      // of the finite values; nothing where there are none
  std::optional<double> std;  // the same, with n - 1 as in torch.std; nothing below two values, and
                              // infinite where no double is as large
  std::optional<IntegerRange> integers;  // of i64 and u64 tensors that have a value
};

/// Multiple of every element size, and the size of for_each_block()'s pieces.
inline constexpr uint64_t kStatsBlock = uint64_t{1} << 20;

/// Collects statistics over the pieces of one tensor. Not thread-safe; use one for each piece and
/// merge them in order.
class StatsAccumulator {
 public:
  explicit StatsAccumulator(DType dtype) : dtype_(dtype) {}

  /// Adds whole elements: as if they had been added to a fresh accumulator that is merged then.
  void add(Bytes block);
  /// Adds what OTHER, of the same dtype, has seen.
  void merge(const StatsAccumulator& other);
  /// As if all that was added had been added TIMES times.
  void repeat(uint64_t times);
  TensorStats stats() const;

 private:
  // Count, mean and sum of squared distances from it (Chan, Golub, LeVeque 1979).
  struct Moments {
    uint64_t count = 0;
    double mean = 0;
    double squares = 0;
    bool scaled = false;  // mean and squares are those of the values times a small power of two
    Moments scaled_down() const;
    void merge(const Moments& other);
  };

  void add_values(const double* values, size_t count);
  void add_special(const double* values, size_t count);
  void add_integers(Bytes elements);

  DType dtype_;
  Moments finite_;
  uint64_t count_ = 0;
  uint64_t zeros_ = 0;
  uint64_t nans_ = 0;
  uint64_t infs_ = 0;
  double min_ = __builtin_inf();
  double max_ = -__builtin_inf();
  // Of i64 and u64: the values with the sign bit turned over where the type has one, so that both
  // order as unsigned numbers do.
  uint64_t least_ = UINT64_MAX;
  uint64_t most_ = 0;
};

/// The statistics of a whole view on up to THREADS threads (strided views use one). Expanded
/// dimensions are counted, not walked. Errors: those of for_each_block().
Result<TensorStats> tensor_stats(const TensorView& view, unsigned threads);

}  // namespace mlc
