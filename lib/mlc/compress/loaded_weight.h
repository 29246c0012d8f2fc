// Finding the parts of quantised weights in a state_dict.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/compress/weight_quant.h"

#include <string>
#include <unordered_map>

namespace mlc {

/// Tensors of a state_dict by their keys.
using TensorsByName = std::unordered_map<std::string, uint32_t>;
TensorsByName tensors_by_name(const StateDict& state_dict);

/// A quantised weight as it lies in a file. Owns the bytes of parts that do not lie there in one
/// piece.
class LoadedWeight {
 public:
  /// Errors: corrupt where a part is missing, or has another type or shape than the record demands.
  static Result<LoadedWeight> open(const Checkpoint& checkpoint, const TensorsByName& tensors,
                                   QuantFormat format, const QuantizedTensor& described);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  /// The weights of ROW, columns() at OUT. Thread-safe.
  void decode(int64_t row, float* out) const;
  /// Adds to SUMS how far ROW is from WEIGHTS. `wrong` counts codes that are not the nearest.
  void compare(int64_t row, const float* weights, ErrorSums& sums) const;
  /// What columns were multiplied with; empty for nothing.
  const std::vector<float>& input_scale() const { return input_scale_; }

 private:
  void compare_scaled(int64_t row, const float* weights, ErrorSums& sums) const;
  Status read_input_scale(const Checkpoint& checkpoint, uint32_t tensor, const std::string& name);
  Result<Bytes> take(const Checkpoint& checkpoint, uint32_t tensor);

  QuantizedTensor described_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  std::optional<StoredWeight> codes_;  // of integer schemes
  std::vector<float> input_scale_;
  Bytes values_;  // of the others
  std::vector<std::shared_ptr<const std::string>> owned_;
};

}  // namespace mlc
