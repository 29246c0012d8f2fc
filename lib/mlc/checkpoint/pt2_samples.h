// The arguments that a program was exported with, which torch.export.save keeps beside it.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <memory>

namespace mlc {

/// The pickle of the sample inputs in CHECKPOINT, a .pt2 of one program: its root is a tuple of the
/// positional arguments and a dict of the others, each nested as the program was called. Null where
/// the archive has none. It keeps the file open by itself. Errors: those of reading a torch.save
/// file.
Result<std::unique_ptr<Checkpoint>> open_pt2_samples(const Checkpoint& checkpoint);

}  // namespace mlc
