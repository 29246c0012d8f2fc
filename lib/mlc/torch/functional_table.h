// The functions of torch.nn.functional that are no operators, or operators with other arguments, as
// TorchScript texts. Free of LibTorch's headers.
#pragma once

#include <span>
#include <string_view>

namespace mlc::torch_module {

/// A function, or one variant of it: rows of one name stand together and are tried in order.
struct Function {
  std::string_view name;  // a name that begins with _ is for the other rows
  /// As TorchScript writes them; BroadcastingList2[int], for one number or two, may have a number
  /// or None for default, which the compiler itself cannot give to that type.
  std::string_view arguments;
  std::string_view body;  // an expression, or lines that begin at column 1
  std::string_view type = "Tensor";
};

/// What to do instead of calling F.NAME, where an operator of that name means something else or
/// nothing does it.
struct Advice {
  std::string_view name;
  std::string_view text;
};

std::span<const Function> functions();
/// Those of torch itself that Python has beside the operators of their names.
std::span<const Function> torch_functions();
/// The static methods of torch.nn.Transformer.
std::span<const Function> transformer_functions();
std::span<const Advice> advice();

}  // namespace mlc::torch_module
