#include "mlc/engine/architecture_model.h"

#include "catch.h"
#include "mlc/checkpoint/format.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

using namespace mlc;

namespace {

constexpr const char* kYaml =
    "mlc: architecture/1\n"
    "inputs: [\"x:f32[2]\"]\n"
    "forward: |\n"
    "  def forward(self, x: Tensor) -> Tensor:\n"
    "      return x\n";

/// Keeps what it is given, as a model does that points into the YAML, and builds nothing.
class KeepingEngine : public Engine {
 public:
  std::string title() override { return "none"; }
  Result<EngineInfo> info() override { return EngineInfo(); }
  Result<std::unique_ptr<Model>> load(const std::string&, const LoadOptions&, Reporter&) override {
    return std::unique_ptr<Model>();
  }
  Result<std::unique_ptr<Model>> build(const ArchitectureSource& source, const LoadOptions&,
                                       Reporter&) override {
    error_at = source.error_at;
    return std::unique_ptr<Model>();
  }
  Result<std::unique_ptr<Model>> interpret(const ProgramSource&, const LoadOptions&,
                                           Reporter&) override {
    return std::unique_ptr<Model>();
  }

  decltype(ArchitectureSource::error_at) error_at;
};

}  // namespace

TEST_CASE("places in the YAML are told after what the model was built from is gone",
          "[regression]") {
  const std::string path =
      std::filesystem::temp_directory_path() / "mlc_architecture_model_test.safetensors";
  std::ofstream(path, std::ios::binary) << std::string("\x02\0\0\0\0\0\0\0{}", 10);
  KeepingEngine engine;
  {
    auto checkpoint = open_checkpoint(path);
    REQUIRE(checkpoint.ok());
    auto architecture = arch::Architecture::parse(kYaml, "net.yaml");
    REQUIRE(architecture.ok());
    auto opened = ArchitectureModel::open(std::move(*checkpoint), std::move(*architecture), "");
    REQUIRE(opened.ok());
    std::optional<ArchitectureModel> model(std::move(*opened));
    REQUIRE(model->build(engine, {}, null_reporter()).ok());
    const ArchitectureModel moved = std::move(*model);
    model.reset();
  }
  std::filesystem::remove(path);
  const Error error = engine.error_at({5, 7}, "no", "");
  CHECK(error.file() == "net.yaml");
  CHECK(error.message().find("return x") != std::string::npos);
}
