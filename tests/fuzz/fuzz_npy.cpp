// libFuzzer target: any bytes as a .npy file. What is accepted must describe itself consistently,
// and a header written from it must be read as the same.
#include "mlc/tensor/npy.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const mlc::Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto header = mlc::parse_npy_header(bytes);
  if (!header.ok()) return 0;
  if (header->data_offset > size || header->sizes.size() > mlc::kMaxRank) std::abort();
  const auto count = mlc::element_count(header->sizes);
  if (!count ||
      static_cast<uint64_t>(*count) * mlc::element_bytes(header->dtype) != header->data_bytes) {
    std::abort();
  }
  if (!mlc::checked_extent(header->sizes, header->strides(), 0, *count).ok()) std::abort();
  const auto written = mlc::make_npy_header(header->dtype, header->sizes);
  if (!written.ok()) {
    if (mlc::info(header->dtype).numpy.empty()) return 0;
    std::abort();
  }
  const auto again = mlc::parse_npy_header(mlc::as_bytes(*written));
  if (!again.ok() || again->sizes != header->sizes || again->dtype != header->dtype ||
      again->data_offset != written->size()) {
    std::abort();
  }
  return 0;
}
