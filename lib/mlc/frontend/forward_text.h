// What is read from the text of a `forward` method without compiling it: its header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct ForwardParameter {
  std::string name;
  std::string type;           // "Tensor" where the text says none, as in TorchScript
  std::string default_value;  // empty: none
  bool keyword_only = false;
};

struct ForwardHeader {
  std::vector<ForwardParameter> parameters;  // without self
  std::string returns;                       // empty: inferred
};

/// The header of the method `forward` in SOURCE, which begins at the start of a line; nothing if
/// there is none or its brackets do not close.
std::optional<ForwardHeader> forward_header(std::string_view source);

/// The method `__call__` that takes what `forward` in SOURCE takes and calls it, so that
/// `self.child(x)` compiles. Empty if SOURCE has no forward or has its own __call__.
std::string call_method(std::string_view source);

}  // namespace mlc::arch
