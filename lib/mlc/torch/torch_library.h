// The library as a whole: what it is, its devices, its threads, what it would print. Free of
// LibTorch's headers.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <string>

namespace mlc::torch_module {

/// Once, before anything else: what LibTorch and the models it runs print goes to the reporter of
/// hear() as details, no device specific code is generated.
void set_up_library();
/// Where prints and warnings go from now on. REPORTER must outlive their coming.
void hear(Reporter& reporter);

/// "2.13.0", of the library that is loaded.
std::string library_version();
EngineInfo library_info();

/// The device that NAME ("cpu", "cuda", "cuda:1", "auto") means here, as LibTorch writes it.
/// Errors: usage for another name; unsupported for CUDA where there is none, or no such device.
Result<std::string> resolve_device(const std::string& name);

/// 0 leaves the number as it is.
void set_threads(unsigned threads);
/// Waits for what was given to DEVICE.
void synchronize(const std::string& device);

}  // namespace mlc::torch_module
