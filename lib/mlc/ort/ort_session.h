// A model that ONNX Runtime has loaded: its session, and what that takes and gives.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/ort/ort_library.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::ort_module {

struct SessionInput {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;  // -1 where they vary; empty also where the rank is not known
};

struct LoadedSession {
  Owned<OrtSession> session;
  Signature signature;
  std::vector<SessionInput> inputs;
  std::vector<std::string> outputs;
  std::string device;  // "cpu", "cuda:0"
};

/// Loads the model at PATH by its path, so that weights beside it are found. Errors: those of
/// Engine::load; unsupported naming inputs and outputs that are no tensors, or of a type that mlc
/// does not have.
Result<LoadedSession> load_session(OrtLibrary& library, const std::string& path,
                                   const LoadOptions& options);

/// Nothing for strings, packed integers and others that mlc does not have.
std::optional<DType> dtype_from_ort(ONNXTensorElementDataType type);

/// Why a session on CUDA cannot be made; empty where it can.
std::string cuda_problem(OrtLibrary& library);

}  // namespace mlc::ort_module
