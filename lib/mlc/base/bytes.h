// Little-endian numbers in byte ranges: bounds-checked reading, appending for writing.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlc {

static_assert(std::endian::native == std::endian::little,
              "x86-64 and arm64 are little-endian; a big-endian host needs swaps here");

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The little-endian T at P. Requires: sizeof(T) readable bytes at P.
template <std::integral T>
T load_le(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <std::integral T>
void store_le(void* p, T value) {
  std::memcpy(p, &value, sizeof value);
}

/// Appends VALUE to OUT, little-endian.
template <std::integral T>
void append_le(std::string& out, T value) {
  char raw[sizeof(T)];
  store_le(raw, value);
  out.append(raw, sizeof raw);
}

/// A cursor over bytes it does not own. Every read either succeeds whole or returns nothing and
/// leaves the cursor where it was.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  /// Moves to an absolute position; false beyond the end.
  bool seek(size_t position) {
    if (position > bytes_.size()) return false;
    position_ = position;
    return true;
  }

  template <std::integral T>
  std::optional<T> read() {
    if (remaining() < sizeof(T)) return std::nullopt;
    T value = load_le<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  /// The next COUNT bytes, not copied.
  std::optional<Bytes> take(uint64_t count) {
    if (count > remaining()) return std::nullopt;
    Bytes out = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return out;
  }

 private:
  Bytes bytes_;
  size_t position_ = 0;
};

}  // namespace mlc
