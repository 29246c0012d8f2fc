// What the checkpoint fuzzers share: bytes as a file, opened, and everything in it read.
#pragma once

#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

namespace mlc::fuzz {

/// Opens DATA as open_checkpoint() does and reads what opens: the state_dicts, every tensor, the
/// bytes of those that are small. Views must be what they say.
inline void open_and_read(const uint8_t* data, size_t size) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size)) __builtin_trap();
  auto opened = open_checkpoint("/proc/self/fd/" + std::to_string(fd));
  ::close(fd);
  if (!opened.ok()) return;
  Checkpoint& checkpoint = **opened;
  uint64_t budget = 4U << 20U;  // bytes
  size_t tensors = 1000;
  for (const NamedTensor& named : all_tensors(checkpoint, checkpoint.root)) {
    if (tensors-- == 0) break;
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    const uint64_t bytes = checkpoint.byte_size(tensor);
    const bool small =
        tensor.storage == kNoIndex || checkpoint.storages[tensor.storage].byte_size() <= budget;
    if (!small || bytes > budget) continue;
    const auto view = checkpoint.view(named.tensor);
    if (!view.ok()) continue;
    const auto content = contiguous_bytes(*view, bytes);
    if (!content.ok() || content->size() != bytes) __builtin_trap();
    budget -= bytes;
  }
  (void)find_state_dicts(checkpoint);
}

}  // namespace mlc::fuzz
