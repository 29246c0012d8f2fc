// Which file of a folder is its checkpoint, told by the names that libraries give.
#pragma once

#include "mlc/base/result.h"

#include <string>
#include <vector>

namespace mlc {

struct FolderContent {
  bool is_dcp = false;              // the folder itself is the checkpoint
  std::string file;                 // else the name of the file to open in it
  std::vector<std::string> others;  // files that could have been meant too
};

/// Looks for the names that from_pretrained of transformers, diffusers and peft looks for, in its
/// order; where none is there, for the only variant of one (`model.fp16.safetensors`). Errors:
/// not_found, with what the folder holds instead; unsupported for shards of
/// torch.distributed.checkpoint without an index.
Result<FolderContent> look_into_folder(const std::string& folder);

}  // namespace mlc
