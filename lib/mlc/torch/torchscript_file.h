// What a TorchScript archive tells before it is loaded. Free of LibTorch's headers.
#pragma once

#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::torch_module {

struct TracedInput {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
};

/// The arguments with which torch.jit.trace recorded `forward`; empty for scripted files, and where
/// one of them is no tensor.
Result<std::vector<TracedInput>> traced_inputs(const std::string& path);

struct CodeFacts {
  bool recurrence = false;  // see engine/torchscript_code.h
  /// What kOutputsRecord holds; empty where it is no list of different names.
  std::vector<std::string> output_names;
};

/// Names for what `forward` returns, in order, one a line: an architecture declares them, and
/// TorchScript has no place for them. An extra file, below `extra/` in the archive.
inline constexpr const char* kOutputsRecord = "mlc/outputs.txt";

/// Reads the code of the archive. Error: unsupported, naming all operators and classes that it uses
/// and this LibTorch lacks, or for code that is nested so deep that its compiler uses up the stack.
Result<CodeFacts> check_code(const std::string& path);

}  // namespace mlc::torch_module
