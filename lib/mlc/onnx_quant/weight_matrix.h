// A constant of an ONNX model, of float32 or float16, as rows of float32, one for each channel that
// gets a scale.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mlc::onnx {

/// Which dimension has the channels: the first of any (rows of a table, filters of a convolution),
/// or the last of two (columns of what MatMul multiplies with).
enum class Channels : uint8_t { first, last };

class WeightMatrix {
 public:
  /// Errors: those of reading the tensor. Requires: f32 or f16, at least one element, for `last`
  /// two dimensions.
  static Result<WeightMatrix> open(const DocTensor& tensor, Channels channels);

  int64_t rows() const { return rows_; }        // channels
  int64_t columns() const { return columns_; }  // weights of a channel
  Channels channels() const { return channels_; }
  /// Rows are worth a turn of a thread in pieces of so many: the last piece may have fewer.
  int64_t rows_a_piece() const { return piece_; }
  size_t pieces() const { return static_cast<size_t>((rows_ + piece_ - 1) / piece_); }

  /// Rows [BEGIN, END), one after the other, in BUFFER. From any thread.
  std::span<const float> read(int64_t begin, int64_t end, std::vector<float>& buffer) const;

 private:
  Buffer buffer_;
  DType dtype_ = DType::f32;
  Channels channels_ = Channels::first;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t piece_ = 1;
};

}  // namespace mlc::onnx
