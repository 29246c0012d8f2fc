// What the machine offers to engines: processors, their instruction sets, memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct CpuInfo {
  std::string model;                  // "AMD EPYC 9V74"; "unknown" where the kernel does not tell
  unsigned processors = 1;            // that this process may use
  std::vector<std::string> features;  // those that matter for inference: "avx2", "avx512_vnni"
};

/// Reads the text of /proc/cpuinfo.
CpuInfo parse_cpuinfo(std::string_view text);
CpuInfo this_cpu();
/// Whether integer kernels add the products of two bytes in 16 bits and saturate (VPMADDUBSW):
/// x86 without VNNI.
bool adds_products_in_16_bits(const CpuInfo& cpu);
uint64_t memory_bytes();

struct GpuInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes = 0;
};

/// What the driver of NVIDIA finds, in its order, whether an engine can use it or not; nothing
/// without a driver. LIBRARY is the driver's.
std::vector<GpuInfo> nvidia_gpus(const char* library = "libcuda.so.1");

}  // namespace mlc
