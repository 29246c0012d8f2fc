// Files that others put beside the program of a TorchScript file or a .pt2: labels, vocabularies,
// settings. What is made of such a file carries them on.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/engine/engine.h"

#include <string>
#include <vector>

namespace mlc {

struct CarriedFiles {
  ExtraFiles files;                   // in the order of the archive
  std::vector<std::string> left_out;  // names of those that are too large
};

/// Their names, without mlc's own, in the order of the archive; none for other formats.
std::vector<std::string> extra_file_names(const Checkpoint& checkpoint);

/// The extra files of CHECKPOINT without mlc's own, which every verb writes anew; nothing for other
/// formats. 256 MiB in all are read at most. Errors: corrupt, read_failed.
Result<CarriedFiles> carried_files(const Checkpoint& checkpoint);

}  // namespace mlc
