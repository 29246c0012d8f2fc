// Tensors for the inputs of a model: read from files, or random but the same for the same seed.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"

#include <cstdint>
#include <span>
#include <vector>

namespace mlc {

/// One tensor for each of SPECS, in their order: the values that it holds (held_inputs.h), those of
/// its file, or random ones. Without a range of values floating inputs are close to normal (mean 0,
/// deviation 1), bool is either, u8 and i8 anything, other integers 0 to 9. A file gives its only
/// tensor, or the one that has the name of the input. Errors: those of open_checkpoint() and of
/// reading tensors; not_found where a file has several tensors and none of that name; usage for
/// tensors that no memory holds.
Result<std::vector<NamedValue>> sample_inputs(std::span<const InputSpec> specs, uint64_t seed,
                                              Reporter& reporter);

/// The same for one random input of SIZES, whatever dimensions SPEC has.
Result<HostTensor> random_tensor(const InputSpec& spec, std::vector<int64_t> sizes, uint64_t seed);

}  // namespace mlc
