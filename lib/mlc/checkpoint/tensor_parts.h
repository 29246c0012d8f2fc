// Whether the tensors that a sparse or quantized tensor consists of fit each other: what PyTorch
// checks when it makes one (torch/_utils.py, _validate_sparse_coo_tensor_args and its siblings), as
// far as shapes tell. Indices that point outside are bytes, which a reader does not look at.
#pragma once

#include "mlc/base/result.h"
#include "mlc/tensor/shape.h"

#include <cstdint>
#include <string_view>

namespace mlc {

/// Coordinates [dimensions, count] and VALUES [count, dense...] of a tensor of SIZE. Errors:
/// corrupt.
Status check_coo_parts(Dims indices, Dims values, Dims size);

/// The parts of a tensor of SIZE with LAYOUT "sparse_csr", "sparse_csc", "sparse_bsr" or
/// "sparse_bsc": COMPRESSED [batch..., rows + 1], PLAIN [batch..., count], VALUES [batch..., count,
/// block..., dense...]. Errors: corrupt, also for another layout.
Status check_compressed_parts(std::string_view layout, Dims compressed, Dims plain, Dims values,
                              Dims size);

/// Scales and zero points, so many, of the slices of SIZE along AXIS. Errors: corrupt.
Status check_channels(Dims size, int64_t axis, int64_t scales, int64_t zero_points);

}  // namespace mlc
