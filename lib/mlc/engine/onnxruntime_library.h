// Finding ONNX Runtime, which neither mlc nor its module links: any libonnxruntime.so will do.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlc {

/// The first members of OrtApiBase (onnxruntime_c_api.h), unchanged since 1.0.
struct OnnxRuntimeApi {
  const void* (*get_api)(uint32_t version);  // an OrtApi, or null where it is older
  const char* (*get_version)();
};

struct OnnxRuntimeLibrary {
  std::string path;
  std::string version;
  const OnnxRuntimeApi* api = nullptr;  // of the opened library, which stays open
};

/// Opens the first of: what MLC_ONNXRUNTIME names (a file, or a folder with one), beside the mlc
/// binary, ../lib, the wheel that mlc was built beside, the system's folders. Errors: unsupported,
/// saying how to get it.
Result<OnnxRuntimeLibrary> find_onnxruntime();

/// How to get it, for hints.
std::string_view how_to_get_onnxruntime();

/// 21 of "1.21.0": the number of the newest interface that this version has. Nothing where it is no
/// such version.
std::optional<uint32_t> onnxruntime_interface(std::string_view version);

}  // namespace mlc
