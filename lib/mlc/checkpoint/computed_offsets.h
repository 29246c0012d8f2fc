// PyTorch 2.7 and newer may compute where storages lie instead of looking it up: with
// map_location="meta" always, with mmap=True where calculate_storage_offsets is set
// (torch/serialization.py, _load). It takes the place of storage "0", which has to be the first one
// that the pickle mentions, and expects the others behind it in the order in which they are
// mentioned, packed as torch.save packs them. The record .format_version promises that; where it
// does not hold, PyTorch reads other bytes without a word, and the record has to go.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/checkpoint/checkpoint.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace mlc {

/// A storage's record, as it lies in an archive.
struct StorageRecord {
  uint64_t header_offset = 0;
  uint64_t data_offset = 0;
  uint64_t size = 0;
  uint64_t name_length = 0;  // with the root folder
};

/// Whether PyTorch computes the places of RECORDS, which are in the order in which the pickle
/// mentions them first. Requires: ALIGNMENT > 0.
bool computes_places(std::span<const StorageRecord> records, uint64_t alignment);

/// Whether it does for the archive of CHECKPOINT (Format::torch_zip, as it was read) after an edit
/// that puts NEW_PICKLE in place of data.pkl, if given, and moves the record of each entry by
/// SHIFT(index of the entry) bytes. Reads the pickle and the local headers of the storages.
bool computed_offsets_hold(const Checkpoint& checkpoint, std::optional<Bytes> new_pickle,
                           const std::function<int64_t(size_t entry)>& shift);

}  // namespace mlc
