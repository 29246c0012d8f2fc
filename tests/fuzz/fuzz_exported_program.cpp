// Any text: read_exported_program() returns a well-formed graph, whose text reads back, or an
// error.
#include "mlc/frontend/exported_program.h"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto program = mlc::read_exported_program(text, "fuzz");
  if (!program.ok()) {
    if (program.error().kind() == mlc::ErrorKind::internal) __builtin_trap();
    return 0;
  }
  const std::string printed = mlc::ir::to_text(program->graph);
  const auto again = mlc::ir::parse(printed, "printed");
  if (!again.ok() || mlc::ir::to_text(*again) != printed) __builtin_trap();
  return 0;
}
