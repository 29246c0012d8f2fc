// A model that an engine builds instead of loading: an architecture's tree of modules and the
// tensors that a checkpoint has for it. Plain data, because it crosses into the module.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/frontend/script_module.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mlc {

/// The contiguous elements of a tensor, to be used in place: a model may write into them, and what
/// it writes stays in this process.
struct Weight {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  Bytes bytes;
  std::shared_ptr<const void> owner;  // BYTES live as long as it does
};

/// An input that the architecture declares.
struct DeclaredInput {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;  // an example
  std::string text;            // "f32[batch=1..1024,1,8,8]"
  arch::Position position;
};

struct ArchitectureSource {
  const arch::ScriptModule* root = nullptr;
  std::string yaml;  // its text, in which the positions of the tree lie
  std::string name;  // of the YAML's file, without folders
  std::vector<DeclaredInput> inputs;
  /// Names for what forward returns, in order; a dictionary has its own. Empty: "output.0", ...
  std::vector<std::string> outputs;
  /// The value of a parameter or persistent buffer, of the type and shape that the tree has.
  std::function<Result<Weight>(const arch::ScriptTensor&)> weight;
  /// An error at a place of the YAML. Also called by the model that was built, as long as it lives.
  std::function<Error(arch::Position, std::string message, std::string hint)> error_at;
  /// An error at line and column of the source of a module; line 0: the module itself.
  std::function<Error(const arch::ScriptModule&, size_t line, size_t column, std::string message,
                      std::string hint)>
      source_error;
};

}  // namespace mlc
