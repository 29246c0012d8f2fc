// The one symbol that libmlc_torch.so exports.
#include "mlc/engine/module_abi.h"
#include "mlc/torch/torch_engine.h"

extern "C" __attribute__((visibility("default"))) const mlc::EngineModule* mlc_engine_module() {
  static const mlc::EngineModule kModule = {mlc::kEngineAbi, mlc::engine_build().c_str(),
                                            mlc::torch_module::make_torch_engine};
  return &kModule;
}
