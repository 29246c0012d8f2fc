// A weight in 8 bits a channel, or in 4 bits a block, as ONNX Runtime's kernels want it.
//
// 8 bits: w = scale * code, one scale a channel, codes in [-127, 127] (in 7 bits: [-63, 63]), which
// is D9 of the design: nothing else is as fast on x86-64 with activations of 0 to 255. 4 bits are
// those of compress/weight_quant.h. Scales and errors are found at once, in one pass over the
// weight on all threads; codes are made when they are written.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/data_rounding.h"
#include "mlc/compress/input_factor.h"
#include "mlc/compress/quant_kernels.h"
#include "mlc/compress/weight_quant.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_quant/weight_matrix.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mlc::onnx {

/// What was found in a pass over a weight.
struct WeightFacts {
  int64_t rows = 0;
  int64_t columns = 0;
  ErrorSums sums;
  uint64_t not_finite = 0;  // NaN and infinite weights; then there is nothing else
  /// Neighbours in a row that a multiplication of bytes adds up in 16 bits, on CPUs without VNNI:
  /// all, and those that exceed 32,767 with activations of 255.
  uint64_t pairs = 0;
  uint64_t saturating = 0;
};

/// Eight bits a weight. Shared by the tensors that are made of it.
class ChannelWeight : public std::enable_shared_from_this<ChannelWeight> {
 public:
  /// LARGEST is the largest code: 127, or 63. Errors: those of WeightMatrix::open().
  static Result<std::shared_ptr<const ChannelWeight>> make(const DocTensor& tensor,
                                                           Channels channels, int largest,
                                                           unsigned threads);

  const WeightFacts& facts() const { return facts_; }
  const std::vector<float>& scales() const { return scales_; }
  /// The same weight with scales of at least LEAST, one for each channel.
  std::shared_ptr<const ChannelWeight> with_least_scales(const std::vector<float>& least) const;

  /// Codes as i8 of SIZES: channel after channel, or, TRANSPOSED, the first weight of each channel
  /// first.
  DataRef codes(std::vector<int64_t> sizes, bool transposed) const;
  /// Scales times FACTOR, as f32 of SIZES.
  DataRef scale_data(std::vector<int64_t> sizes, float factor = 1) const;

 private:
  ChannelWeight(WeightMatrix matrix, int largest, unsigned threads);
  Status scan();
  Result<Buffer> encode(bool transposed) const;

  WeightMatrix matrix_;
  int largest_;
  unsigned threads_;
  WeightFacts facts_;
  std::vector<float> scales_;
};

/// Four bits a weight, one scale for BLOCK weights of a channel.
class BlockWeight : public std::enable_shared_from_this<BlockWeight> {
 public:
  /// Errors: those of WeightMatrix::open(). Requires: BLOCK is even.
  static Result<std::shared_ptr<const BlockWeight>> make(const DocTensor& tensor, Channels channels,
                                                         int64_t block, bool symmetric,
                                                         Rounding rounding, unsigned threads);
  /// The same with codes by what the weight is multiplied with: GPTQ (compress/data_rounding.h).
  /// Requires: FACTOR is of as many columns as a row of the weight has.
  static Result<std::shared_ptr<const BlockWeight>> make_by_inputs(const DocTensor& tensor,
                                                                   Channels channels, int64_t block,
                                                                   bool symmetric,
                                                                   const InputFactor& factor,
                                                                   unsigned threads);

  /// Adds to GAIN what a few rows tell; GRAM is X^T X of the inputs. Requires: it was made by
  /// inputs, and all weights are finite.
  void add_gain(std::span<const float> gram, RoundingGain& gain) const;

  const WeightFacts& facts() const { return facts_; }
  bool symmetric() const { return symmetric_; }
  int64_t blocks() const { return blocks_; }  // of a row
  /// Whether float16 holds all scales as they are. Requires: all weights are finite.
  bool has_half_scales() const { return quantizer_.scale_dtype() == DType::f16; }

  /// As com.microsoft.MatMulNBits has them: u8 [rows, blocks, block / 2], the first of two codes in
  /// the lower half; f32 or f16 [rows * blocks]; u8 [rows * ceil(blocks / 2)], the same way.
  DataRef nbits_codes() const;
  DataRef nbits_scales(DType dtype = DType::f32) const;
  DataRef nbits_zeros() const;

  /// As DequantizeLinear has them, for the tensor as it lies in the file: [rows, columns] and
  /// [rows, blocks], or, TRANSPOSED, the other way round; two codes a byte, the first in the lower
  /// half, no matter where rows end. Symmetric codes have a sign.
  DataRef flat_codes(bool transposed) const;
  DataRef flat_scales(std::vector<int64_t> sizes, bool transposed, DType dtype = DType::f32) const;
  DataRef flat_zeros(bool transposed) const;

 private:
  BlockWeight(WeightMatrix matrix, int64_t block, bool symmetric, Rounding rounding,
              unsigned threads);
  Status scan(const InputFactor* factor);
  Result<Buffer> encode() const;
  Result<Buffer> encode_flat(bool transposed) const;

  WeightMatrix matrix_;
  int64_t block_;
  bool symmetric_;
  unsigned threads_;
  int64_t blocks_;
  WeightQuantizer quantizer_;
  WeightFacts facts_;
};

}  // namespace mlc::onnx
