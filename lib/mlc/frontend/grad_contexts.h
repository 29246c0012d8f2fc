// `with torch.no_grad():` and its like, which TorchScript cannot be given from text and which do
// nothing where models only run: mlc computes no gradients anywhere.
#pragma once

#include "mlc/frontend/unroll.h"

#include <vector>

namespace mlc::arch {

/// Makes of each such line in LINES an `if True:` of the same length, so that the columns of what
/// follows stay, and an empty line of each such decorator.
void drop_grad_contexts(std::vector<TextLine>& lines);

}  // namespace mlc::arch
