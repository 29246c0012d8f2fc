#include "mlc/torch/torch_library.h"

#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"

#include <array>
#include <charconv>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/print_handler.h>
#include <torch/cuda.h>

namespace mlc::torch_module {
namespace {

Reporter* listener = &null_reporter();

class QuietWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    listener->detail("LibTorch warns: " + exception_sentence(warning.msg()));
  }
};

/// Opens the CUDA half of LibTorch, once; whether it is there. CPU runs never pay for it. Global,
/// because it registers its kernels with the half that is loaded.
bool open_cuda() {
  static const bool kOpen = ::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;
  return kOpen;
}

/// As torch.backends.quantized writes its engines.
std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

/// "2.13.0" from the line "- Build settings: ..., TORCH_VERSION=2.13.0, ..." of CONFIG.
std::string version_in(std::string_view config) {
  constexpr std::string_view kMark = "TORCH_VERSION=";
  const size_t at = config.find(kMark);
  if (at == config.npos) return "unknown";
  const std::string_view rest = config.substr(at + kMark.size());
  return std::string(rest.substr(0, rest.find_first_of(", \n")));
}

/// The lines of CONFIG that name a library: "Intel(R) MKL-DNN v3.12.0 (Git Hash ...)".
std::vector<std::pair<std::string, std::string>> libraries_in(std::string_view config) {
  std::vector<std::pair<std::string, std::string>> out;
  const std::array<std::pair<std::string_view, const char*>, 5> marks = {{
      {"GCC ", "compiler"},
      {"Intel(R) oneAPI Math Kernel Library Version ", "MKL"},
      {"Intel(R) MKL-DNN v", "oneDNN"},
      {"CUDA Runtime ", "CUDA"},
      {"CuDNN ", "cuDNN"},
  }};
  for (const std::string_view raw : split(config, '\n')) {
    std::string_view line = trim(raw);
    if (line.starts_with("- ")) line.remove_prefix(2);
    for (const auto& [mark, name] : marks) {
      if (!line.starts_with(mark)) continue;
      const std::string_view rest = line.substr(mark.size());
      out.emplace_back(name, std::string(rest.substr(0, rest.find_first_of("(- "))));
    }
  }
  return out;
}

Error no_cuda() {
  if (!open_cuda()) {
    return unsupported(
        "this LibTorch (" + library_version() + ") is built without CUDA",
        "build mlc with -DMLC_TORCH_ROOT=DIR of a CUDA LibTorch, or use --device cpu");
  }
  return unsupported("LibTorch finds no CUDA device on this machine",
                     "is the driver installed (nvidia-smi)? --device cpu runs without");
}

Result<std::string> cuda_device(std::string_view number) {
  int index = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
  const bool is_whole = error == std::errc() && end == number.data() + number.size();
  if (!number.empty() && (!is_whole || index < 0)) {
    return usage_error("no device is called cuda:" + printable(number), "as in --device cuda:0");
  }
  if (!open_cuda() || !torch::cuda::is_available()) return no_cuda();
  const int count = torch::cuda::device_count();
  if (index >= count) {
    return unsupported("there is no cuda:" + std::to_string(index) + " among " +
                       plural(static_cast<uint64_t>(count), "CUDA device"));
  }
  return "cuda:" + std::to_string(index);
}

}  // namespace

void set_up_library() {
  static QuietWarnings warnings;
  c10::WarningUtils::set_warning_handler(&warnings);
  torch::jit::setPrintHandler([](const std::string& text) {
    listener->detail("the model prints: " + printable(trim(text)));
  });
  // A process that runs a model a few times gains nothing from watching it first.
  torch::jit::getProfilingMode() = false;
}

void hear(Reporter& reporter) {
  listener = &reporter;
}

std::string library_version() {
  return version_in(at::show_config());
}

EngineInfo library_info() {
  EngineInfo info;
  info.name = "LibTorch";
  info.has_cuda = open_cuda();
  const std::string config = at::show_config();
  info.version = version_in(config);
  info.build = libraries_in(config);
  info.devices.emplace_back("cpu");
  const int gpus = info.has_cuda ? torch::cuda::device_count() : 0;
  for (int i = 0; i < gpus; ++i) info.devices.push_back("cuda:" + std::to_string(i));
  if (gpus == 0) info.cuda_problem = no_cuda().message();
  for (const at::QEngine engine : at::Context::supportedQEngines()) {
    if (engine != at::QEngine::NoQEngine) {
      info.quantized_engines.push_back(lower(c10::toString(engine)));
    }
  }
  info.cpu_capability = at::get_cpu_capability();
  info.threads = static_cast<unsigned>(at::get_num_threads());
  return info;
}

Result<std::string> resolve_device(const std::string& name) {
  if (name == "cpu") return name;
  if (name == "cuda") return cuda_device("");
  if (name.starts_with("cuda:") && name.size() > 5) return cuda_device(name.substr(5));
  if (name == "auto") {
    const bool gpu = open_cuda() && torch::cuda::is_available();
    return std::string(gpu ? "cuda:0" : "cpu");
  }
  return usage_error("no device is called " + mlc::quoted(name),
                     "devices are cpu, cuda, cuda:N and auto");
}

void set_threads(unsigned threads) {
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
}

void synchronize(const std::string& device) {
  if (device.starts_with("cuda:")) torch::cuda::synchronize(std::stoi(device.substr(5)));
}

}  // namespace mlc::torch_module
