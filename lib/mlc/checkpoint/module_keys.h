// Which keys of a state_dict a module gave, told from the key alone.
#pragma once

#include <optional>
#include <string_view>

namespace mlc {

/// What Module.get_extra_state returns is saved under this name below its module.
inline constexpr std::string_view kExtraState = "_extra_state";

/// The module whose extra state KEY is ("" is the root), or nothing.
inline std::optional<std::string_view> module_of_extra_state(std::string_view key) {
  if (key == kExtraState) return std::string_view();
  if (key.size() <= kExtraState.size() || !key.ends_with(kExtraState)) return std::nullopt;
  key.remove_suffix(kExtraState.size());
  if (key.back() != '.') return std::nullopt;
  return key.substr(0, key.size() - 1);
}

/// Whether what stands under KEY and is no tensor can be a module's own: its extra state, or a
/// value of a module below the root (`fc._packed_params.dtype`). Others stand beside the model:
/// epoch, optimizer, config.
inline bool is_module_key(std::string_view key) {
  return key == kExtraState || key.find('.') != std::string_view::npos;
}

/// Whether KEY is below what quantised modules pack: a tuple of a weight and a bias, and its dtype
/// (torch/ao/nn/quantized/modules/linear.py), or one key of an embedding.
inline bool is_packed_key(std::string_view key) {
  constexpr std::string_view kPacked = "_packed_params";
  for (size_t at = key.find(kPacked); at != key.npos; at = key.find(kPacked, at + 1)) {
    const size_t end = at + kPacked.size();
    if ((at == 0 || key[at - 1] == '.') && end < key.size() && key[end] == '.') return true;
  }
  return false;
}

}  // namespace mlc
