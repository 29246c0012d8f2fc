// The one symbol that libmlc_ort.so exports.
#include "mlc/engine/module_abi.h"
#include "mlc/ort/ort_engine.h"

extern "C" __attribute__((visibility("default"))) const mlc::EngineModule* mlc_engine_module() {
  static const mlc::EngineModule kModule = {mlc::kEngineAbi, mlc::engine_build().c_str(),
                                            mlc::ort_module::make_ort_engine};
  return &kModule;
}
