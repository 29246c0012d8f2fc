#include "mlc/engine/module_loader.h"

#include "mlc/base/text.h"
#include "mlc/engine/module_abi.h"

#include <cstdlib>
#include <filesystem>

#include <dlfcn.h>

namespace mlc {
namespace {

struct ModuleKind {
  const char* file;
  const char* variable;
  std::string_view library;  // what it brings, for people
  std::string_view needs;    // the beginning of the names of its libraries
  std::string_view how;      // to get it
  std::string_view repair;   // where it cannot be opened any more
};

constexpr ModuleKind kTorch = {
    "libmlc_torch.so",
    "MLC_TORCH_MODULE",
    "LibTorch",
    "libtorch",
    "`scripts/quickstart` fetches LibTorch and builds the module; MLC_TORCH_MODULE=FILE names one "
    "that lies elsewhere",
    "`pip install torch==2.13.0` into .deps/venv and build again, or put the lib folder of a "
    "LibTorch 2.13 into LD_LIBRARY_PATH"};

/// Opens its library itself, and says itself what is wrong with that.
constexpr ModuleKind kOnnxRuntime = {
    "libmlc_ort.so",
    "MLC_ORT_MODULE",
    "ONNX Runtime",
    "libonnxruntime",
    "`scripts/quickstart` fetches ONNX Runtime and builds the module; MLC_ORT_MODULE=FILE names "
    "one that lies elsewhere",
    "build mlc again"};

const ModuleKind& row(EngineKind kind) {
  switch (kind) {
    case EngineKind::torch:
      break;
    case EngineKind::onnxruntime:
      return kOnnxRuntime;
  }
  return kTorch;
}

std::filesystem::path folder_of_binary() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

/// Why dlopen failed, told by what it says: "FILE: cannot open shared object file: No such ...".
Error cannot_open(const ModuleKind& kind, const std::string& path, const std::string& reason) {
  const std::string hint(kind.repair);
  if (reason.starts_with(kind.needs) || reason.starts_with("libc10")) {
    const std::string library = reason.substr(0, reason.find(':'));
    if (reason.find("No such file") == std::string::npos) {  // as without memory to map it into
      return unsupported(std::string(kind.library) + " cannot be loaded: " + printable(reason),
                         "a limit of memory (`ulimit -v`) stops it too; else: " + hint);
    }
    return unsupported(std::string(kind.library) + " is not there any more: " + library +
                           ", which " + path + " needs, cannot be opened",
                       hint);
  }
  if (reason.find("undefined symbol") != std::string::npos ||
      reason.find("version `") != std::string::npos) {
    return unsupported("the " + std::string(kind.library) + " that " + path +
                           " finds is not the version it was built for",
                       hint);
  }
  return unsupported("cannot open " + path + ": " + printable(reason), std::string(kind.how));
}

/// What the module says of itself.
Result<const EngineModule*> described(const ModuleKind& kind, const std::string& path) {
  // Threads of OpenMP that spin while they wait take the processor from those that work: on a busy
  // machine a forward pass took ten times as long. Read once, when the library is loaded.
  ::setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  // A name without a slash would be searched for where the system keeps libraries.
  const std::string file = std::filesystem::absolute(path);
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = ::dlerror();
    return cannot_open(kind, path, reason == nullptr ? "unknown reason" : reason);
  }
  void* const symbol = ::dlsym(handle, kEngineEntryPoint);
  if (symbol == nullptr) {
    return unsupported(path + " is no module of mlc: it has no " + kEngineEntryPoint,
                       std::string(kind.how));
  }
  return reinterpret_cast<EngineEntryPoint>(symbol)();
}

}  // namespace

std::string_view to_string(EngineKind kind) {
  return row(kind).library;
}

Result<std::string> find_module(EngineKind kind) {
  const ModuleKind& module = row(kind);
  if (const char* named = ::getenv(module.variable); named != nullptr && *named != '\0') {
    if (std::filesystem::exists(named)) return std::string(named);
    return unsupported(quoted(named) + ", which " + module.variable + " names, is not there",
                       "unset it, or name the " + std::string(module.file) + " of this mlc");
  }
  const std::filesystem::path folder = folder_of_binary();
  for (const auto& candidate : {folder / module.file, folder / ".." / "lib" / module.file}) {
    std::error_code error;
    if (std::filesystem::exists(candidate, error)) return candidate.lexically_normal().string();
  }
  return unsupported("this needs " + std::string(module.library) + ", and " + module.file +
                         " is neither beside the mlc binary nor in ../lib",
                     std::string(module.how));
}

Result<std::unique_ptr<Engine>> open_module(EngineKind kind, const std::string& path) {
  const ModuleKind& module = row(kind);
  MLC_TRY(const EngineModule* const found, described(module, path));
  if (found->abi != kEngineAbi || found->build != engine_build()) {
    return unsupported(path + " belongs to another build: it is from " + printable(found->build) +
                           " (interface " + std::to_string(found->abi) + "), this is " +
                           engine_build() + " (interface " + std::to_string(kEngineAbi) + ")",
                       "use the module that was built with this mlc; unset " +
                           std::string(module.variable) + " if it is set");
  }
  return found->create();
}

Result<std::unique_ptr<Engine>> open_engine(EngineKind kind) {
  MLC_TRY(const std::string path, find_module(kind));
  return open_module(kind, path);
}

}  // namespace mlc
