// What a module (libmlc_torch.so, libmlc_ort.so) exports: one C function.
//
// mlc and its modules pass C++ objects to each other, so both must come from one build of the
// headers. kEngineAbi counts the changes of engine.h and of what it includes; engine_build() names
// version and compiler. The loader compares both before it calls anything else.
#pragma once

#include "mlc/engine/engine.h"

#include <cstdint>
#include <memory>
#include <string>

namespace mlc {

inline constexpr uint32_t kEngineAbi = 15;

/// The first two members keep their place forever, so that any two versions can tell each other
/// apart.
struct EngineModule {
  uint32_t abi;
  const char* build;
  /// Errors: unsupported where the library behind the module is not there, or too old.
  Result<std::unique_ptr<Engine>> (*create)();
};

inline constexpr const char* kEngineEntryPoint = "mlc_engine_module";
using EngineEntryPoint = const EngineModule* (*)();

/// "mlc 0.1.0, GNU 12.2.0".
const std::string& engine_build();

}  // namespace mlc
