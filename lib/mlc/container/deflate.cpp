#include "mlc/container/deflate.h"

#include <algorithm>
#include <memory>

#include <libdeflate.h>

namespace mlc {
namespace {

constexpr uint64_t kMaxRatio = 1032;

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeCompressor {
  void operator()(libdeflate_compressor* c) const { libdeflate_free_compressor(c); }
};

}  // namespace

bool deflate_can_hold(uint64_t compressed, uint64_t size) {
  return size / kMaxRatio <= compressed;
}

Status inflate_into(Bytes compressed, std::span<std::byte> out) {
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> inflater(
      libdeflate_alloc_decompressor());
  if (!inflater) return internal_error("no memory for a decompressor");
  size_t used = 0;
  size_t made = 0;
  const libdeflate_result result = libdeflate_deflate_decompress_ex(
      inflater.get(), compressed.data(), compressed.size(), out.data(), out.size(), &used, &made);
  if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
    return corrupt("the compressed data hold more than the stated " + std::to_string(out.size()) +
                   " bytes");
  }
  if (result != LIBDEFLATE_SUCCESS) return corrupt("the compressed data are damaged");
  if (made != out.size()) {
    return corrupt("the compressed data hold " + std::to_string(made) + " bytes, not the stated " +
                   std::to_string(out.size()));
  }
  if (used != compressed.size()) {
    return corrupt("the compressed data end after " + std::to_string(used) + " of " +
                   std::to_string(compressed.size()) + " bytes");
  }
  return {};
}

Result<std::string> inflate_exact(Bytes compressed, uint64_t size) {
  if (!deflate_can_hold(compressed.size(), size)) {
    return corrupt(std::to_string(compressed.size()) + " compressed bytes cannot hold the stated " +
                   std::to_string(size));
  }
  std::string out(static_cast<size_t>(size), '\0');
  MLC_CHECK(inflate_into(compressed, std::as_writable_bytes(std::span(out))));
  return out;
}

Result<std::string> deflate(Bytes bytes, int level) {
  const std::unique_ptr<libdeflate_compressor, FreeCompressor> deflater(
      libdeflate_alloc_compressor(std::clamp(level, 1, 12)));
  if (!deflater) return internal_error("no memory for a compressor");
  std::string out(libdeflate_deflate_compress_bound(deflater.get(), bytes.size()), '\0');
  const size_t made = libdeflate_deflate_compress(deflater.get(), bytes.data(), bytes.size(),
                                                  out.data(), out.size());
  if (made == 0) return internal_error("libdeflate's bound on its output does not hold");
  out.resize(made);
  return out;
}

}  // namespace mlc
