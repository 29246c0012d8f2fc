// How safetensors files record the other names of a tied tensor.
//
// Hugging Face's convention is a row __metadata__[dropped] = kept. Any text may stand in that map,
// so that a row {"best": "weight"} looks the same: only names with a dot, as modules give their
// tensors ("lm_head.weight"), are believed. Others that mlc wrote it lists under a key of its own.
//
// The name that comes first in the state_dict is kept: modules are listed in the order in which
// they were made, so that is the embedding, whose name transformers' save_pretrained keeps and
// which its models without a head look for. safetensors.torch.load_model takes any of the names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The key in __metadata__ whose value lists, as JSON, tied names without a dot.
inline constexpr std::string_view kTiedNamesKey = "mlc.tied";

inline bool is_plainly_tied(std::string_view dropped) {
  return dropped.find('.') != std::string_view::npos;
}

}  // namespace mlc
