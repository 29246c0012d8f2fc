#include "mlc/torch/torch_engine.h"

#include "mlc/torch/exported_model.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/torch_library.h"
#include "mlc/torch/torchscript_model.h"

namespace mlc::torch_module {
namespace {

class TorchEngine : public Engine {
 public:
  TorchEngine() { set_up_library(); }

  std::string title() override { return "LibTorch " + library_version(); }

  Result<EngineInfo> info() override {
    return guarded(ErrorKind::unsupported, [] { return Result<EngineInfo>(library_info()); });
  }

  Result<std::unique_ptr<Model>> load(const std::string& path, const LoadOptions& options,
                                      Reporter& reporter) override {
    MLC_TRY(const std::string device, prepare(options, reporter));
    return load_torchscript(path, device, options, reporter);
  }

  Result<std::unique_ptr<Model>> build(const ArchitectureSource& source, const LoadOptions& options,
                                       Reporter& reporter) override {
    MLC_TRY(const std::string device, prepare(options, reporter));
    return build_torchscript(source, device, options, reporter);
  }

  Result<std::unique_ptr<Model>> interpret(const ProgramSource& source, const LoadOptions& options,
                                           Reporter& reporter) override {
    MLC_TRY(const std::string device, prepare(options, reporter));
    return interpret_program(source, device, options);
  }

 private:
  static Result<std::string> prepare(const LoadOptions& options, Reporter& reporter) {
    hear(reporter);
    MLC_TRY(std::string device,
            guarded(ErrorKind::unsupported, [&] { return resolve_device(options.device); }));
    set_threads(options.threads);
    return device;
  }
};

}  // namespace

Result<std::unique_ptr<Engine>> make_torch_engine() {
  return std::unique_ptr<Engine>(std::make_unique<TorchEngine>());
}

}  // namespace mlc::torch_module
