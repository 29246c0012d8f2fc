// Names by which the text of a method calls what TorchScript understands otherwise than Python:
// python_reading.h writes them, and the engine that compiles the text knows them.
#pragma once

#include <array>
#include <string_view>

namespace mlc::arch {

/// `k or 8` as a value: `__flag__(k) or 8` is refused unless k is True or False, which is all that
/// TorchScript makes of it.
inline constexpr std::string_view kFlagCall = "__flag__";

/// `x %= 3` as `x = __imod__(x, 3)`, Python's own name of it.
struct AugmentedCall {
  std::string_view sign;
  std::string_view call;
  /// Whether TorchScript computes something else by this sign, or does not compute in place, or
  /// lacks it. The others it mistakes only for entries of a dict.
  bool always = false;
};

inline constexpr auto kAugmentedCalls = std::to_array<AugmentedCall>({
    {"%=", "__imod__", true},
    {"**=", "__ipow__", true},
    {"&=", "__iand__", true},
    {"|=", "__ior__", true},
    {"^=", "__ixor__", true},
    {"//=", "__ifloordiv__", true},
    {"@=", "__imatmul__", true},
    {"+=", "__iadd__", false},
    {"-=", "__isub__", false},
    {"*=", "__imul__", false},
    {"/=", "__itruediv__", false},
    {"<<=", "__ilshift__", false},
    {">>=", "__irshift__", false},
});

}  // namespace mlc::arch
