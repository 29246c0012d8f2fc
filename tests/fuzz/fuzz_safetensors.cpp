// Any JSON as the header of a safetensors file, before a few bytes of data.
#include "checkpoint_input.h"
#include "mlc/base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string file;
  mlc::append_le<uint64_t>(file, size);
  file.append(reinterpret_cast<const char*>(data), size);
  file.append(16, '\1');
  mlc::fuzz::open_and_read(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  return 0;
}
