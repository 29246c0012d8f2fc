#include "mlc/engine/torchscript_code.h"

#include <algorithm>
#include <array>

namespace mlc {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Whether the text before AT ends a word or a dotted name that what begins there belongs to.
bool begins_name(std::string_view code, size_t at) {
  return at == 0 || (!is_word(code[at - 1]) && code[at - 1] != '.');
}

std::string_view word_at(std::string_view code, size_t at) {
  size_t end = at;
  while (end < code.size() && is_word(code[end])) ++end;
  return code.substr(at, end - at);
}

}  // namespace

void collect_operators(std::string_view code, std::set<std::string>& names) {
  constexpr std::string_view kOps = "ops.";
  for (size_t at = code.find(kOps); at != code.npos; at = code.find(kOps, at + 1)) {
    if (!begins_name(code, at)) continue;
    const std::string_view space = word_at(code, at + kOps.size());
    const size_t dot = at + kOps.size() + space.size();
    if (space.empty() || dot >= code.size() || code[dot] != '.') continue;
    const std::string_view name = word_at(code, dot + 1);
    const size_t call = dot + 1 + name.size();
    if (name.empty() || call >= code.size() || code[call] != '(') continue;
    names.insert(std::string(space) + "::" + std::string(name));
  }
}

void collect_custom_classes(std::string_view code, std::set<std::string>& names) {
  constexpr std::string_view kClasses = "__torch__.torch.classes.";
  for (size_t at = code.find(kClasses); at != code.npos; at = code.find(kClasses, at + 1)) {
    size_t end = at;
    while (end < code.size() && (is_word(code[end]) || code[end] == '.')) ++end;
    names.insert(std::string(code.substr(at, end - at)));
  }
}

bool has_recurrence(std::string_view code) {
  constexpr std::array<std::string_view, 5> kCalls = {
      "torch.lstm(", "torch.gru(", "torch.rnn_tanh(", "torch.rnn_relu(", "torch.mkldnn_rnn_layer("};
  return std::ranges::any_of(kCalls, [&](auto call) { return code.find(call) != code.npos; });
}

}  // namespace mlc
