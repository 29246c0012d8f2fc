// Any text: parse() returns a graph whose text reads back to the same text, or an error.
#include "mlc/ir/graph.h"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto graph = mlc::ir::parse(text, "fuzz");
  if (!graph.ok()) return 0;
  const std::string printed = mlc::ir::to_text(*graph);
  const auto again = mlc::ir::parse(printed, "printed");
  if (!again.ok() || mlc::ir::to_text(*again) != printed) __builtin_trap();
  return 0;
}
