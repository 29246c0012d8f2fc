// The inputs with which a TorchScript file was checked, kept in it as extra files: in
// "mlc/inputs.txt" what they are, one a line, as --input takes them; in "mlc/inputs/NAME.npy" the
// values of those that were no random ones.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

struct StoredInputs {
  std::vector<std::pair<std::string, std::string>> files;  // names below extra/, and contents
  std::string text;                                        // of inputs.txt, which is one of them
  std::vector<std::string> left_out;  // inputs whose values are too large, or no array of NumPy
};

/// What becomes of VALUES, in the order of SPECS. Values are kept up to 16 MiB in all, of types
/// that NumPy lacks as float32. A file that was made with --dtype takes floating inputs of the type
/// CAST.
Result<StoredInputs> store_inputs(std::span<const InputSpec> specs,
                                  std::span<const NamedValue> values, std::optional<DType> cast);

/// What store_inputs() put into CHECKPOINT, a TorchScript file; empty where nothing is there.
/// Error: corrupt.
Result<std::vector<InputSpec>> read_stored_inputs(const Checkpoint& checkpoint);

}  // namespace mlc
