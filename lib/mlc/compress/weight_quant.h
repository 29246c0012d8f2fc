// Scales and zero points of one tensor, and its codes.
//
// Algorithms (W: a group of weights, b bits, all data-free):
//   rtn, symmetric   s = max|W| / (2^(b-1) - 1)
//   rtn, asymmetric  s = (max - min) / (2^b - 1) with 0 in the range, z = round(-min / s)
//   mse              the range times 1, 0.98, ... 0.3: the one with the least squared error
//   hqq              s as rtn, z not rounded, then z = mean(q - (W - e) / s) with e the shrunken
//                    error (Badri and Shaji, "Half-Quadratic Quantization", 2023; p 0.7, beta 10,
//                    kappa 1.01, 20 steps at most); without a zero point as rtn; where zero points
//                    have to be codes, the better of the two around z
// A group of zeros has the scale 1. Scales are rounded to what is stored before anything is
// computed with them, so codes are the nearest ones to the stored scale.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/compress/quant_kernels.h"
#include "mlc/compress/quant_scheme.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// In this order: choose() for every row, from any threads, finish(), then the rest, from any.
class WeightQuantizer {
 public:
  /// Where zero points lie: on a code, or for hqq between two of them too.
  enum class ZeroPoints : uint8_t { any, codes };

  /// Requires: as layout_of().
  WeightQuantizer(const QuantScheme& scheme, Rounding rounding, Dims sizes,
                  ZeroPoints zero_points = ZeroPoints::any);

  const QuantScheme& scheme() const { return scheme_; }
  const QuantLayout& layout() const { return layout_; }

  /// Weights are multiplied with FACTORS, one a column and above 0, before they are rounded, and
  /// what codes stand for is divided by them. Null: they are not. Requires: before choose(), and
  /// neither choose_group() nor give_codes(); products are finite.
  void scale_inputs(std::shared_ptr<const std::vector<float>> factors) {
    factors_ = std::move(factors);
  }
  /// The factors; empty for none.
  const std::vector<float>& input_scale() const;

  /// Finds the parameters of ROW, whose weights are finite.
  void choose(int64_t row, const float* weights);
  /// The same of one GROUP of ROW, whose WEIGHTS begin there; returns what it found.
  GroupParameters choose_group(int64_t row, int64_t group, const float* weights);
  /// From now on encode() and measure() take CODES, one a byte of all rows, whatever the weights
  /// are: those of methods that do not round to the nearest one.
  void give_codes(std::shared_ptr<const std::vector<int8_t>> codes) { given_ = std::move(codes); }
  bool has_given_codes() const { return given_ != nullptr; }
  /// What the given codes of ROW stand for: layout().columns at OUT.
  void given_values(int64_t row, float* out) const;
  /// All rows were chosen. Scales are float32 where there is one a row, else float16, and float32
  /// where one of them is no normal float16.
  void finish();

  /// The parameters of ROW. Before finish() the same as after.
  void parameters(int64_t row, std::vector<GroupParameters>& out) const;
  /// The codes of ROW as they are stored: layout().row_bytes() at OUT.
  void encode(int64_t row, const float* weights, std::byte* out) const;
  /// Adds to SUMS what encode() loses of ROW.
  void measure(int64_t row, const float* weights, ErrorSums& sums) const;

  /// What the codes of encode() stand for: layout().columns at OUT.
  void decoded(int64_t row, const float* weights, float* out) const;

  /// What finish() made; shared so that it can be written without a copy.
  const std::shared_ptr<const std::string>& scale_bytes() const { return scale_bytes_; }
  const std::shared_ptr<const std::string>& zero_bytes() const { return zero_bytes_; }
  DType scale_dtype() const { return scale_dtype_; }
  /// Requires: not symmetric.
  DType zero_dtype() const { return zeros_between_codes() ? DType::f16 : DType::u8; }

 private:
  /// WEIGHTS of a row as they are rounded.
  const float* products(const float* weights) const;
  /// The codes of COLUMNS from BEGIN on in ROW.
  void codes_of(int64_t row, size_t begin, size_t count, const float* weights,
                const GroupParameters& group, int8_t* out) const;
  GroupParameters find(const float* weights, size_t count);
  GroupParameters symmetric(float largest);
  GroupParameters asymmetric(float low, float high);
  GroupParameters clipped(const float* weights, size_t count, float low, float high);
  GroupParameters moved_zero(const float* weights, size_t count, GroupParameters group) const;
  GroupParameters on_a_code(const float* weights, size_t count, const GroupParameters& group) const;
  bool zeros_between_codes() const {
    return rounding_ == Rounding::hqq && zero_points_ == ZeroPoints::any;
  }
  float stored_scale(float scale);

  QuantScheme scheme_;
  Rounding rounding_;
  ZeroPoints zero_points_;
  QuantLayout layout_;
  DType scale_dtype_;
  std::atomic<bool> wide_{false};  // a scale that is no normal float16
  std::vector<float> scales_;      // until finish()
  std::vector<float> zeros_;
  std::shared_ptr<const std::vector<int8_t>> given_;
  std::shared_ptr<const std::vector<float>> factors_;
  std::shared_ptr<const std::string> scale_bytes_;
  std::shared_ptr<const std::string> zero_bytes_;
};

/// Reads codes and parameters as files have them: what WeightQuantizer is checked with, and how
/// mlc dequantises. Holds views only.
class StoredWeight {
 public:
  /// Errors: corrupt where sizes contradict each other.
  static Result<StoredWeight> create(const QuantScheme& scheme, Dims sizes, Bytes codes,
                                     DType scale_dtype, Bytes scales, DType zero_dtype,
                                     Bytes zeros);

  const QuantLayout& layout() const { return layout_; }
  /// The weights of ROW, layout().columns at OUT.
  void decode(int64_t row, float* out) const;
  /// Adds to SUMS how far ROW is from WEIGHTS.
  void compare(int64_t row, const float* weights, ErrorSums& sums) const;

 private:
  void load(int64_t row, std::vector<GroupParameters>& groups, std::vector<int8_t>& codes) const;

  QuantScheme scheme_;
  QuantLayout layout_;
  Bytes codes_;
  DType scale_dtype_ = DType::f32;
  Bytes scales_;
  DType zero_dtype_ = DType::u8;
  Bytes zeros_;
};

/// 10 log10(signal / noise) in dB; infinite without noise.
double sqnr_db(double signal, double noise);

}  // namespace mlc
