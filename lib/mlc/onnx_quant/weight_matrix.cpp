#include "mlc/onnx_quant/weight_matrix.h"

#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <cstring>

namespace mlc::onnx {
namespace {

constexpr int64_t kPieceElements = 64 * 1024;  // 256 KiB of float32
// Columns that are read together: a cache line has 16 floats, and more of them spare the machine
// looking pages up.
constexpr int64_t kLastPiece = 64;
constexpr size_t kTile = 16;  // floats of a cache line, both ways

/// COUNT elements of TYPE at FROM as float32.
void load(DType type, const std::byte* from, size_t count, float* to) {
  if (type == DType::f32) {
    std::memcpy(to, from, count * sizeof(float));
  } else {
    to_f32_kernel(type)(from, reinterpret_cast<std::byte*>(to), count);
  }
}

/// TO[row * to_stride + k] = FROM[k * from_stride + row], for COLUMNS values of k and ROWS rows.
void transpose(DType type, const std::byte* from, size_t from_stride, size_t columns, size_t rows,
               float* to, size_t to_stride) {
  float tile[kTile][kTile];
  for (size_t k = 0; k < columns; ++k)
    load(type, from + k * from_stride * element_bytes(type), rows, tile[k]);
  if (columns == kTile) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t k = 0; k < kTile; ++k) to[row * to_stride + k] = tile[k][row];
    }
    return;
  }
  for (size_t row = 0; row < rows; ++row) {
    for (size_t k = 0; k < columns; ++k) to[row * to_stride + k] = tile[k][row];
  }
}

}  // namespace

Result<WeightMatrix> WeightMatrix::open(const DocTensor& tensor, Channels channels) {
  WeightMatrix out;
  MLC_TRY(out.buffer_, tensor.data->produce());
  out.dtype_ = tensor.data->dtype;
  out.channels_ = channels;
  const auto all = static_cast<int64_t>(tensor.data->count());
  out.rows_ = channels == Channels::last ? tensor.sizes.back()
                                         : (tensor.sizes.empty() ? 1 : tensor.sizes.front());
  out.columns_ = all / out.rows_;
  const int64_t wanted = channels == Channels::last ? kLastPiece : kPieceElements / out.columns_;
  out.piece_ = std::clamp<int64_t>(wanted, 1, out.rows_);
  return out;
}

std::span<const float> WeightMatrix::read(int64_t begin, int64_t end,
                                          std::vector<float>& buffer) const {
  const auto rows = static_cast<size_t>(end - begin);
  const auto columns = static_cast<size_t>(columns_);
  buffer.resize(rows * columns);
  const std::byte* const from = buffer_.bytes.data();
  if (channels_ == Channels::first) {
    // Tensors in a file begin anywhere: they are copied to where floats may lie.
    load(dtype_, from + static_cast<size_t>(begin) * columns * element_bytes(dtype_), buffer.size(),
         buffer.data());
    return buffer;
  }
  const auto all = static_cast<size_t>(rows_);
  for (size_t k = 0; k < columns; k += kTile) {
    for (size_t row = 0; row < rows; row += kTile) {
      const std::byte* const at =
          from + (k * all + static_cast<size_t>(begin) + row) * element_bytes(dtype_);
      transpose(dtype_, at, all, std::min(kTile, columns - k), std::min(kTile, rows - row),
                buffer.data() + row * columns + k, columns);
    }
  }
  return buffer;
}

}  // namespace mlc::onnx
