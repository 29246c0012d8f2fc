// What TorchScript lacks of Python: its parser says of most of it only which character it did not
// expect.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlc {

struct ScriptLimit {
  std::string message;  // "TorchScript has no lambda"
  std::string hint;     // what to write instead
  size_t column = 1;    // from 1, where it stands in the line
};

/// The first such thing in LINE of a method, texts and comments passed over.
std::optional<ScriptLimit> script_limit(std::string_view line);

/// The same, of the few things that TorchScript takes and understands in another way than Python.
std::optional<ScriptLimit> misread_by_script(std::string_view line);

/// What to write instead of NAME, which people know from Python and TorchScript does not have;
/// empty for all other names.
std::string advice_on_name(std::string_view name);

/// What to write instead of NAME where it is gone: behind a loop in TEXT whose variable it was.
/// Else empty.
std::string advice_on_loop_variable(std::string_view name, std::string_view text);

}  // namespace mlc
