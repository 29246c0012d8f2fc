// Any text: parse_input_spec() returns a spec or an error with a caret (but under an empty line,
// which is not shown), and what it returns has a text that means the same.
#include "mlc/engine/input_spec.h"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto spec = mlc::parse_input_spec(text);
  if (!spec.ok()) {
    const bool empty_line = text.find_first_of("\r\n") == 0 || text.empty();
    // A name with two sizes is told with both of them, all others with their place in the text.
    const bool two_sizes = spec.error().message().starts_with("dimension ");
    if (!empty_line && !two_sizes && !spec.error().message().ends_with("^")) __builtin_trap();
    return 0;
  }
  const auto again = mlc::parse_input_spec(mlc::to_text(*spec));
  if (!again.ok() || !(*again == *spec)) __builtin_trap();
  return 0;
}
