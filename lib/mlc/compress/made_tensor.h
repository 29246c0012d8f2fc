// Tensors that compression makes: of bytes in memory, or computed in pieces while they are written.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/float_rows.h"

#include <functional>
#include <memory>
#include <span>
#include <string>

namespace mlc {

/// A contiguous tensor of SIZES that holds BYTES.
uint32_t add_stored(Checkpoint& checkpoint, DType dtype, Dims sizes,
                    std::shared_ptr<const std::string> bytes);
/// A contiguous tensor of SIZES whose bytes PIECES makes.
uint32_t add_made(Checkpoint& checkpoint, DType dtype, Dims sizes, PieceProducer pieces);

/// Writes the bytes of ROW, made of its WEIGHTS.
using RowMaker = std::function<void(int64_t row, const float* weights, std::byte* out)>;
/// Pieces that make ROW_BYTES bytes of each row of TENSOR with MAKE. The checkpoint must outlive
/// it.
PieceProducer made_of_rows(const Checkpoint& checkpoint, uint32_t tensor, uint64_t row_bytes,
                           RowMaker make);

}  // namespace mlc
