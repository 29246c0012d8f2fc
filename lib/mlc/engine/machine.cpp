#include "mlc/engine/machine.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include <dlfcn.h>
#include <unistd.h>

namespace mlc {
namespace {

// In the kernel's spelling, x86 first, then arm64.
constexpr std::array<std::string_view, 15> kFeatures = {
    "avx",      "avx2",        "fma",         "avx_vnni",    "avx512f",
    "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16",
    "amx_int8", "asimd",       "asimddp",     "bf16",        "sve"};

std::string_view value_of(std::string_view line) {
  const size_t colon = line.find(':');
  return colon == line.npos ? std::string_view() : trim(line.substr(colon + 1));
}

}  // namespace

CpuInfo parse_cpuinfo(std::string_view text) {
  CpuInfo cpu;
  cpu.model = "unknown";
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with("model name") && cpu.model == "unknown") cpu.model = value_of(line);
    if (!cpu.features.empty() || !(line.starts_with("flags") || line.starts_with("Features"))) {
      continue;
    }
    const std::vector<std::string_view> flags = split(value_of(line), ' ');
    for (const std::string_view feature : kFeatures) {
      if (std::ranges::find(flags, feature) != flags.end()) cpu.features.emplace_back(feature);
    }
  }
  return cpu;
}

bool adds_products_in_16_bits(const CpuInfo& cpu) {
  const auto has = [&cpu](std::string_view feature) {
    return std::ranges::find(cpu.features, feature) != cpu.features.end();
  };
  return has("avx2") && !has("avx_vnni") && !has("avx512_vnni") && !has("amx_int8");
}

CpuInfo this_cpu() {
  std::ifstream file("/proc/cpuinfo");
  CpuInfo cpu = parse_cpuinfo(std::string(std::istreambuf_iterator<char>(file), {}));
  cpu.processors = default_threads();
  return cpu;
}

uint64_t memory_bytes() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

// The driver's own interface, of which these four calls have been the same since CUDA 3.2.
std::vector<GpuInfo> nvidia_gpus(const char* library) {
  void* const driver = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) return {};
  const auto call = [driver](const char* name) { return ::dlsym(driver, name); };
  const auto init = reinterpret_cast<int (*)(unsigned)>(call("cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(call("cuDeviceGetCount"));
  const auto name = reinterpret_cast<int (*)(char*, int, int)>(call("cuDeviceGetName"));
  const auto memory = reinterpret_cast<int (*)(size_t*, int)>(call("cuDeviceTotalMem_v2"));
  std::vector<GpuInfo> out;
  int gpus = 0;
  const bool works = init != nullptr && count != nullptr && name != nullptr && memory != nullptr &&
                     init(0) == 0 && count(&gpus) == 0;
  for (int i = 0; works && i < gpus; ++i) {
    char text[256] = {};
    size_t bytes = 0;
    // A device's handle is its number.
    if (name(text, sizeof text - 1, i) != 0) break;
    if (memory(&bytes, i) != 0) bytes = 0;
    out.push_back({text, bytes});
  }
  return out;  // the driver stays: it starts threads
}

}  // namespace mlc
