// Writing what a model gave to a file that NumPy, PyTorch or safetensors read.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"

#include <cstdint>
#include <span>
#include <string>

namespace mlc {

enum class OutputsFormat : uint8_t { npz, safetensors, torch_zip };

/// By the extension: .npz, .safetensors, or one of torch.save's (.pt, .pth, ...). Errors: usage.
Result<OutputsFormat> outputs_format_of(const std::string& path);

/// Writes VALUES under their names to PATH, as a dict in a .pt file, and publishes it. Returns its
/// size. Errors: exists, write_failed; unsupported for a dtype that the format lacks.
Result<uint64_t> save_outputs(std::span<const NamedValue> values, const std::string& path,
                              const OutputOptions& options, Reporter& reporter);

}  // namespace mlc
