// What libcuda.so.1 offers to nvidia_gpus(): two devices, the second without a known memory.
#include <cstddef>
#include <cstdio>

extern "C" {
int cuInit(unsigned /*flags*/) {
  return 0;
}
int cuDeviceGetCount(int* count) {
  return *count = 2, 0;
}
int cuDeviceGetName(char* name, int size, int device) {
  std::snprintf(name, static_cast<size_t>(size), "Fake GPU %d", device);
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  *bytes = size_t{80} << 30U;
  return device == 0 ? 0 : 1;
}
}
