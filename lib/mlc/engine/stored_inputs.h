// The inputs with which a TorchScript file was checked, kept in it as the extra file
// "mlc/inputs.txt": one a line, as --input takes them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// Names, types, dimensions and ranges. Of inputs from files what VALUES, in the order of SPECS,
/// say: the values themselves are not kept.
std::string stored_inputs(std::span<const InputSpec> specs, std::span<const NamedValue> values);

/// What stored_inputs() wrote; FILE is where it lay, for errors. Error: corrupt.
Result<std::vector<InputSpec>> parse_stored_inputs(std::string_view text, const std::string& file);

}  // namespace mlc
