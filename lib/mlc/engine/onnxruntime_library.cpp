#include "mlc/engine/onnxruntime_library.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <dlfcn.h>

// Where the build found the wheel; empty where it found none.
#ifndef MLC_ONNXRUNTIME_DIR
#define MLC_ONNXRUNTIME_DIR ""
#endif

namespace mlc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = "libonnxruntime.so";

std::optional<OnnxRuntimeLibrary> probe(const std::string& path) {
  // Its kernels are its own business: symbols must not meet those of LibTorch.
  void* const handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return std::nullopt;
  void* const symbol = ::dlsym(handle, "OrtGetApiBase");
  if (symbol == nullptr) return std::nullopt;
  const auto* const api = reinterpret_cast<const OnnxRuntimeApi* (*)()>(symbol)();
  Dl_info where{};
  ::dladdr(symbol, &where);
  return OnnxRuntimeLibrary{where.dli_fname == nullptr ? path : where.dli_fname, api->get_version(),
                            api};
}

/// libonnxruntime.so of FOLDER, under any version that wheels put behind the name.
std::vector<std::string> libraries_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kName) && (name.size() == kName.size() || name[kName.size()] == '.')) {
      out.push_back(entry.path().string());
    }
  }
  std::ranges::sort(out, natural_less);
  return out;
}

Result<OnnxRuntimeLibrary> named(const std::string& name) {
  const fs::path path = fs::absolute(name);
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  std::string reason;
  for (const std::string& file : folder ? libraries_in(path) : std::vector{path.string()}) {
    if (auto found = probe(file)) return *found;
    const char* const said = ::dlerror();
    if (said != nullptr) reason = ": " + printable(said);
  }
  return unsupported(
      mlc::quoted(name) + ", which MLC_ONNXRUNTIME names, is no ONNX Runtime" + reason,
      std::string(how_to_get_onnxruntime()));
}

}  // namespace

std::string_view how_to_get_onnxruntime() {
  return "`scripts/quickstart` fetches it; or install libonnxruntime, or set MLC_ONNXRUNTIME to a "
         "libonnxruntime.so: the onnxruntime wheel has one in onnxruntime/capi";
}

Result<OnnxRuntimeLibrary> find_onnxruntime() {
  const char* const variable = ::getenv("MLC_ONNXRUNTIME");
  if (variable != nullptr && *variable != '\0') return named(variable);
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> candidates;
  for (const fs::path& one : {folder, folder / ".." / "lib", fs::path(MLC_ONNXRUNTIME_DIR)}) {
    if (one.empty()) continue;
    for (std::string& file : libraries_in(one)) candidates.push_back(std::move(file));
  }
  candidates.insert(candidates.end(), {std::string(kName), std::string(kName) + ".1"});
  for (const std::string& candidate : candidates) {
    if (auto found = probe(candidate)) return *found;
  }
  return unsupported("ONNX Runtime was not found", std::string(how_to_get_onnxruntime()));
}

std::optional<uint32_t> onnxruntime_interface(std::string_view version) {
  if (!version.starts_with("1.")) return std::nullopt;
  version.remove_prefix(2);
  uint32_t number = 0;
  const auto [end, error] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  const bool ends = end == version.data() + version.size() || *end == '.';
  return error == std::errc() && ends ? std::optional(number) : std::nullopt;
}

}  // namespace mlc
