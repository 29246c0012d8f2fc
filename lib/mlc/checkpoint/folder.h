// Which file of a folder is its checkpoint, told by the names that libraries give; and which of its
// files hold tensors at all.
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

/// The paths of the files in FOLDER, not below it, that by their names hold tensors, in natural
/// order; names with a dot in front are passed over, as shells do. Errors: not_found where there
/// are none, with what was looked for; unsupported for more names than are looked at.
Result<std::vector<std::string>> tensor_files_in(const std::string& folder);

}  // namespace mlc
