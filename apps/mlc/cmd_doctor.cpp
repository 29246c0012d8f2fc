#include "cli/json_writer.h"
#include "command.h"
#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"
#include "mlc/engine/machine.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnxruntime_library.h"
#include "mlc/onnx_write/check.h"

#include <fmt/format.h>

namespace mlc::cli {
namespace {

struct Options {};

void setup(OptionSet& /*set*/, Options& /*options*/) {}

struct Findings {
  CpuInfo cpu;
  std::vector<GpuInfo> gpus;
  Result<std::string> module;
  Result<EngineInfo> torch;
  Result<OnnxRuntimeLibrary> library;  // ONNX Runtime, which is there or not without its module
  Result<std::string> ort_module;
  Result<EngineInfo> onnxruntime;
  Result<std::string> onnx;  // the version of what writes and checks models
};

Result<EngineInfo> ask(EngineKind kind, const Result<std::string>& module) {
  if (!module.ok()) return unsupported(module.error().message(), module.error().hint());
  MLC_TRY(const auto engine, open_module(kind, *module));
  return engine->info();
}

Findings look() {
  auto module = find_module(EngineKind::torch);
  auto torch = ask(EngineKind::torch, module);
  auto ort_module = find_module(EngineKind::onnxruntime);
  auto onnxruntime = ask(EngineKind::onnxruntime, ort_module);
  return {
      this_cpu(),         nvidia_gpus(),         std::move(module),      std::move(torch),
      find_onnxruntime(), std::move(ort_module), std::move(onnxruntime), onnx::checker_version()};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out.empty() ? "none" : out;
}

class DoctorView {
 public:
  DoctorView(const Findings& found, Context& context) : found_(found), context_(context) {}

  void show_text() {
    line("mlc", fmt::format("{} (commit {}, {})", mlc_version(), mlc_commit(), mlc_compiler()));
    line("processor", printable(found_.cpu.model));
    line("", fmt::format("{}, {} of memory", plural(found_.cpu.processors, "processor"),
                         format_bytes(memory_bytes())));
    line("features", joined(found_.cpu.features));
    for (const GpuInfo& gpu : found_.gpus) {
      line("GPU", printable(gpu.name) + ", " + format_bytes(gpu.memory_bytes) + " of memory");
    }
    if (found_.torch.ok()) {
      show_torch(*found_.torch);
    } else {
      missing("LibTorch", found_.torch.error());
    }
    show_onnxruntime();
    if (found_.onnx.ok()) {
      line("ONNX", printable(*found_.onnx) + " (checker)");
    } else {
      missing("ONNX", found_.onnx.error());
    }
  }

  void show_json() {
    JsonWriter json(context_.out());
    json.begin_object();
    json.field("schema", "mlc.doctor/1");
    json.key("mlc");
    json.begin_object();
    json.field("version", mlc_version());
    json.field("commit", mlc_commit());
    json.field("compiler", mlc_compiler());
    json.end_object();
    json.key("machine");
    json.begin_object();
    json.field("processor", found_.cpu.model);
    json.field("processors", found_.cpu.processors);
    json.list("features", found_.cpu.features);
    json.field("memory_bytes", memory_bytes());
    if (!found_.gpus.empty()) gpus_json(json);
    json.end_object();
    torch_json(json);
    onnxruntime_json(json);
    onnx_json(json);
    json.end_object();
  }

 private:
  void line(std::string_view label, std::string_view text) {
    context_.out().line(fmt::format("{:<14}{}", label, text));
  }

  void missing(std::string_view label, const Error& error) {
    line(label, "not available: " + printable(error.message()));
    if (!error.hint().empty()) line("", printable(error.hint()));
  }

  void show_torch(const EngineInfo& torch) {
    std::string build;
    for (const auto& [name, version] : torch.build) {
      build += (build.empty() ? "" : ", ") + name + " " + version;
    }
    line("LibTorch", printable(torch.version));
    line("  module", printable(*found_.module));
    line("  build", printable(build));
    line("  kernels", fmt::format("{}, {}", torch.cpu_capability, plural(torch.threads, "thread")));
    line("  quantized", joined(torch.quantized_engines));
    line("  devices", joined(torch.devices));
    if (!torch.cuda_problem.empty()) line("  CUDA", "not available: " + torch.cuda_problem);
  }

  void gpus_json(JsonWriter& json) {
    json.key("gpus");
    json.begin_array();
    for (const GpuInfo& gpu : found_.gpus) {
      json.begin_object();
      json.field("name", gpu.name);
      json.field("memory_bytes", gpu.memory_bytes);
      json.end_object();
    }
    json.end_array();
  }

  void show_onnxruntime() {
    if (!found_.library.ok()) {
      missing("ONNX Runtime", found_.library.error());
      return;
    }
    line("ONNX Runtime", printable(found_.library->version));
    line("  library", printable(found_.library->path));
    if (!found_.onnxruntime.ok()) {
      missing("  module", found_.onnxruntime.error());
      return;
    }
    line("  module", printable(*found_.ort_module));
    line("  providers", joined(found_.onnxruntime->providers));
    line("  devices", joined(found_.onnxruntime->devices));
    if (found_.onnxruntime->has_cuda && !found_.onnxruntime->cuda_problem.empty()) {
      line("  CUDA", "not available: " + found_.onnxruntime->cuda_problem);
    }
  }

  void problem_json(JsonWriter& json, const Error& error) {
    json.field("problem", error.message());
    json.field("hint", error.hint());
  }

  void torch_json(JsonWriter& json) {
    json.key("libtorch");
    json.begin_object();
    json.field("found", found_.torch.ok());
    if (found_.module.ok()) json.field("module", *found_.module);
    if (!found_.torch.ok()) {
      problem_json(json, found_.torch.error());
      json.end_object();
      return;
    }
    const EngineInfo& torch = *found_.torch;
    json.field("version", torch.version);
    json.key("build");
    json.begin_object();
    for (const auto& [name, version] : torch.build) json.field(name, version);
    json.end_object();
    json.field("cpu_capability", torch.cpu_capability);
    json.field("threads", torch.threads);
    json.list("quantized_engines", torch.quantized_engines);
    json.list("devices", torch.devices);
    json.key("cuda");
    json.begin_object();
    json.field("built", torch.has_cuda);
    json.field("available", torch.cuda_problem.empty());
    if (!torch.cuda_problem.empty()) json.field("problem", torch.cuda_problem);
    json.end_object();
    json.end_object();
  }

  void onnxruntime_json(JsonWriter& json) {
    json.key("onnxruntime");
    json.begin_object();
    json.field("found", found_.library.ok());
    if (found_.library.ok()) {
      json.field("version", found_.library->version);
      json.field("library", found_.library->path);
    }
    if (found_.ort_module.ok()) json.field("module", *found_.ort_module);
    if (found_.onnxruntime.ok()) {
      json.list("providers", found_.onnxruntime->providers);
      json.list("devices", found_.onnxruntime->devices);
    } else {
      problem_json(json, found_.library.ok() ? found_.onnxruntime.error() : found_.library.error());
    }
    json.end_object();
  }

  void onnx_json(JsonWriter& json) {
    json.key("onnx");
    json.begin_object();
    json.field("found", found_.onnx.ok());
    if (found_.onnx.ok()) {
      json.field("version", *found_.onnx);
    } else {
      problem_json(json, found_.onnx.error());
    }
    json.end_object();
  }

  const Findings& found_;
  Context& context_;
};

Result<ExitCode> run(const Options& /*options*/, Context& context) {
  const Findings found = look();
  DoctorView view(found, context);
  if (context.json()) {
    view.show_json();
  } else {
    view.show_text();
  }
  return ExitCode::done;
}

constexpr Example kExamples[] = {
    {"mlc doctor", "what is here, and how to get what is not"},
    {"mlc doctor --json | jq -r .libtorch.version", "the LibTorch that runs models"},
};

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .group = Group::more,
          .summary = "show the machine and the engines that mlc finds",
          .details =
              "Opens LibTorch and ONNX Runtime and says what they are, which devices and quantized "
              "engines they have, and how to get what is missing. The exit code is 0 also when "
              "something is missing: everything that mlc does to checkpoints works without.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
