// Any file: it opens as some format or is refused, and what opens can be read.
#include "checkpoint_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlc::fuzz::open_and_read(data, size);
  return 0;
}
