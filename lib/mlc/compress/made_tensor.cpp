#include "mlc/compress/made_tensor.h"

#include <vector>

namespace mlc {
namespace {

uint32_t add_tensor_of(Checkpoint& checkpoint, Storage storage, DType dtype, Dims sizes) {
  storage.dtype = dtype;
  storage.elements = element_count(sizes).value_or(0);
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.storage = static_cast<uint32_t>(checkpoint.storages.size());
  checkpoint.storages.push_back(std::move(storage));
  const std::vector<int64_t> own(sizes.begin(), sizes.end());  // adding moves the others
  return checkpoint.add_tensor(tensor, own, contiguous_strides(own));
}

}  // namespace

uint32_t add_stored(Checkpoint& checkpoint, DType dtype, Dims sizes,
                    std::shared_ptr<const std::string> bytes) {
  Storage storage;
  storage.own = held_bytes(std::move(bytes));
  return add_tensor_of(checkpoint, std::move(storage), dtype, sizes);
}

uint32_t add_made(Checkpoint& checkpoint, DType dtype, Dims sizes, PieceProducer pieces) {
  const auto bytes = static_cast<uint64_t>(element_count(sizes).value_or(0)) * element_bytes(dtype);
  Storage storage;
  storage.own = made_bytes(std::move(pieces), bytes);
  return add_tensor_of(checkpoint, std::move(storage), dtype, sizes);
}

PieceProducer made_of_rows(const Checkpoint& checkpoint, uint32_t tensor, uint64_t row_bytes,
                           RowMaker make) {
  PieceProducer out;
  const auto opened = FloatRows::open(checkpoint, tensor);
  const int64_t step = opened.ok() ? opened->rows_a_piece() : 1;
  out.piece_bytes = static_cast<uint64_t>(step) * row_bytes;
  out.make = [&checkpoint, tensor, row_bytes, make = std::move(make)](
                 uint64_t begin, std::span<std::byte> bytes) -> Status {
    MLC_TRY(const FloatRows rows, FloatRows::open(checkpoint, tensor));
    const auto first = static_cast<int64_t>(begin / row_bytes);
    const auto count = static_cast<int64_t>(bytes.size() / row_bytes);
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> floats, rows.read(first, first + count, buffer));
    const float* weights = floats.data();
    std::byte* to = bytes.data();
    for (int64_t row = first; row < first + count; ++row) {
      make(row, weights, to);
      weights += rows.columns();
      to += row_bytes;
    }
    return {};
  };
  return out;
}

}  // namespace mlc
