#include "mlc/ort/ort_engine.h"

#include "mlc/ort/ort_library.h"
#include "mlc/ort/ort_model.h"

namespace mlc::ort_module {
namespace {

class OrtEngine : public Engine {
 public:
  explicit OrtEngine(std::unique_ptr<OrtLibrary> library) : library_(std::move(library)) {}

  std::string title() override { return "ONNX Runtime " + library_->version(); }

  Result<EngineInfo> info() override {
    EngineInfo out;
    out.name = "ONNX Runtime";
    out.version = library_->version();
    out.library = library_->path();
    out.providers = library_->providers();
    out.has_cuda = library_->has_provider("CUDAExecutionProvider");
    out.cuda_problem = cuda_problem(*library_);
    out.devices.emplace_back("cpu");
    if (out.cuda_problem.empty()) out.devices.emplace_back("cuda");
    return out;
  }

  Result<std::unique_ptr<Model>> load(const std::string& path, const LoadOptions& options,
                                      Reporter& reporter) override {
    auto session = load_session(*library_, path, options);
    library_->report(session.ok() ? reporter : null_reporter());
    if (!session.ok()) return std::move(session).error();
    return make_model(*library_, std::move(*session), reporter);
  }

  Result<std::unique_ptr<Model>> build(const ArchitectureSource& /*source*/,
                                       const LoadOptions& /*options*/,
                                       Reporter& /*reporter*/) override {
    return unsupported("ONNX Runtime runs no architectures");
  }

  Result<std::unique_ptr<Model>> interpret(const ProgramSource& /*source*/,
                                           const LoadOptions& /*options*/,
                                           Reporter& /*reporter*/) override {
    return unsupported("ONNX Runtime runs no exported programs");
  }

 private:
  std::unique_ptr<OrtLibrary> library_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_ort_engine() {
  MLC_TRY(auto library, OrtLibrary::open());
  return std::unique_ptr<Engine>(std::make_unique<OrtEngine>(std::move(library)));
}

}  // namespace mlc::ort_module
