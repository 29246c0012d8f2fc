// How large a file would be, found without reading a tensor and without writing.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/save.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc {

struct TorchZipOptions;

/// Bytes of the file that save_checkpoint() would write to PATH with OPTIONS, which name no storage
/// to deflate. The graph changes. Errors: those of plan_checkpoint(), but for PATH.
Result<uint64_t> planned_file_size(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options);

// Of each format, beside its writer.
Result<uint64_t> torch_zip_size(Checkpoint& checkpoint, const TorchZipOptions& options);
Result<uint64_t> safetensors_size(const Checkpoint& checkpoint,
                                  const std::vector<NamedTensor>& tensors,
                                  const SafetensorsOptions& options);

}  // namespace mlc
