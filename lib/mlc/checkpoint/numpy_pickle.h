// NumPy arrays inside pickles, which become tensors.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/pickled_bytes.h"

namespace mlc {

/// Turns every array of plain numbers among the nodes from FIRST on into a tensor node. Arrays of
/// objects, texts and dates stay as they are. Errors: corrupt for arrays whose size and bytes
/// contradict.
Status adopt_numpy_arrays(Checkpoint& checkpoint, NodeId first, PickledBytes& source);

}  // namespace mlc
