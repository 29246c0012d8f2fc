// How recurrent layers take packed sequences.
#pragma once

#include <string_view>

namespace mlc::arch {

/// The method of recurrent layers that takes a PackedSequence where `forward` takes a tensor: what
/// `self.child(packed)` means. It follows `forward` and `__call__` in ScriptModule::source.
inline constexpr std::string_view kPackedForward = "forward_packed";

}  // namespace mlc::arch
