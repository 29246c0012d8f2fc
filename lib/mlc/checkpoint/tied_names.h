// How safetensors files record the other names of a tied tensor.
//
// Hugging Face's convention is a row __metadata__[dropped] = kept. Any text may stand in that map,
// so that a row {"best": "weight"} looks the same: only dropped names with a dot, as modules name
// their tensors ("lm_head.weight"), are believed, and others where the kept name has one and sorts
// first, as safetensors.torch.save_model keeps it ("w" of "enc.weight"). The dropped names without
// a dot that mlc wrote are listed under a key of its own.
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

inline bool is_plainly_tied(std::string_view dropped, std::string_view kept) {
  constexpr auto kNone = std::string_view::npos;
  return dropped.find('.') != kNone || (kept.find('.') != kNone && kept < dropped);
}

}  // namespace mlc
