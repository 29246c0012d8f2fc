// Archives that PyTorch 2.13.0 wrote, in data/, for comparison byte by byte.
#pragma once

#include "catch.h"
#include "mlc/base/file.h"

#include <cstdint>
#include <string>

namespace mlc::test {

inline std::string data_file(const std::string& name) {
  const auto file =
      InputFile::open(std::string(MLC_SOURCE_DIR) + "/tests/unit/container/data/" + name);
  REQUIRE(file.ok());
  auto bytes = (*file)->read_string(0, (*file)->size());
  REQUIRE(bytes.ok());
  return std::move(bytes).value();
}

// torch.save(OrderedDict(w=arange(6, dtype=float32).reshape(2, 3), b=zeros(0), i=arange(3)),
// "sd.pt")
inline std::string torch_state_dict() {
  return data_file("state_dict_2.13.pt");
}

// PyTorchFileWriter: data.pkl = "0123456789", data/0 = 2^32 + 16 zeros, data/1 = 100 times "x",
// data/2 empty, then what write_end_of_file() adds. The head is all in front of the zeros, the tail
// all behind them.
constexpr uint64_t kLargeRecordSize = (uint64_t{1} << 32) + 16;
inline std::string torch_large_head() {
  return data_file("large_2.13_head.bin");
}
inline std::string torch_large_tail() {
  return data_file("large_2.13_tail.bin");
}

}  // namespace mlc::test
