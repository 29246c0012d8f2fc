// Sizes of an exported program's inputs that hang together: where one input is q long and another
// q - 1, both have to be tried at another q.
#pragma once

#include "mlc/engine/input_spec.h"
#include "mlc/engine/verify.h"
#include "mlc/frontend/exported_program.h"

#include <span>
#include <vector>

namespace mlc {

/// SPECS of PROGRAM's inputs, where sizes that are computed from a symbol have a name, "8*s85" with
/// the bounds that those of the symbol give, if no other size has one that tells the symbol: so
/// that they are tried at another size too. No name that parse_input_spec() takes. As they are
/// where PROGRAM is null.
std::vector<InputSpec> with_computed_sizes(std::vector<InputSpec> specs,
                                           const ExportedProgram* program);

/// CASES, which were made of SPECS: where a size has another value, those that PROGRAM computes
/// from the same symbols follow. A size that no value of its symbol gives becomes the nearest that
/// one gives, and so does its case's label. Where a
/// guard of PROGRAM then does not hold, another size changes too, if that mends it. Where PROGRAM
/// is null nothing changes.
std::vector<VerifyCase> with_related_sizes(std::vector<VerifyCase> cases,
                                           std::span<const InputSpec> specs,
                                           const ExportedProgram* program);

}  // namespace mlc
