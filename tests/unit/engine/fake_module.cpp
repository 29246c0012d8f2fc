// A module without a library behind it, for module_loader_test.cpp.
#include "mlc/engine/module_abi.h"

#ifndef FAKE_NOTHING
namespace {

using mlc::engine_build;
using mlc::kEngineAbi;

class FakeEngine : public mlc::Engine {
 public:
  std::string title() override { return "fake 1"; }
  mlc::Result<mlc::EngineInfo> info() override {
    mlc::EngineInfo info;
    info.name = "fake";
    return info;
  }
  mlc::Result<std::unique_ptr<mlc::Model>> load(const std::string& /*path*/,
                                                const mlc::LoadOptions& /*options*/,
                                                mlc::Reporter& /*reporter*/) override {
    return mlc::unsupported("a fake loads nothing");
  }
  mlc::Result<std::unique_ptr<mlc::Model>> build(const mlc::ArchitectureSource& /*source*/,
                                                 const mlc::LoadOptions& /*options*/,
                                                 mlc::Reporter& /*reporter*/) override {
    return mlc::unsupported("a fake builds nothing");
  }
  mlc::Result<std::unique_ptr<mlc::Model>> interpret(const mlc::ProgramSource& /*source*/,
                                                     const mlc::LoadOptions& /*options*/,
                                                     mlc::Reporter& /*reporter*/) override {
    return mlc::unsupported("a fake interprets nothing");
  }
};

mlc::Result<std::unique_ptr<mlc::Engine>> create() {
  return std::unique_ptr<mlc::Engine>(std::make_unique<FakeEngine>());
}

}  // namespace

extern "C" const mlc::EngineModule* mlc_engine_module() {
  static const mlc::EngineModule kModule = {FAKE_ABI, FAKE_BUILD, create};
  return &kModule;
}
#endif
