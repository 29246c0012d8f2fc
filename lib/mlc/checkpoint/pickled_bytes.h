// Bytes objects of pickles as places of storages: where they lie if they lie plain in the file.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <optional>
#include <string_view>
#include <unordered_map>

namespace mlc {

class PickledBytes {
 public:
  /// MAPPING is files[0] of CHECKPOINT, which the pickle was read from.
  PickledBytes(Checkpoint& checkpoint, Bytes mapping)
      : checkpoint_(checkpoint), mapping_(mapping) {}

  /// The bytes behind NODE: bytes, bytearray, Python 2's str, or what protocol 2 makes of bytes,
  /// _codecs.encode(text, 'latin1'), decoded once into a buffer of the checkpoint. Nothing for
  /// other nodes.
  std::optional<std::string_view> of(NodeId node);

  /// Makes BYTES the place of STORAGE, whose dtype and byte order are set: in files[0] if they lie
  /// there, else as a copy. Errors: corrupt if the copies outgrow the file, which means that a few
  /// bytes are used over and over.
  Status place(Storage& storage, std::string_view bytes);

 private:
  Checkpoint& checkpoint_;
  Bytes mapping_;
  std::unordered_map<NodeId, std::string_view> decoded_;
  uint64_t copied_ = 0;
};

}  // namespace mlc
