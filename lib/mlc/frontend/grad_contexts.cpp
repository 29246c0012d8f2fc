#include "mlc/frontend/grad_contexts.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace mlc::arch {
namespace {

constexpr auto kContexts = std::to_array<std::string_view>(
    {"torch.no_grad()", "torch.inference_mode()", "torch.inference_mode(True)",
     "torch.inference_mode(mode=True)", "torch.set_grad_enabled(False)",
     "torch.autograd.no_grad()"});

/// TEXT without the context that it begins with, or nothing where it begins with none.
std::optional<std::string_view> behind_context(std::string_view text) {
  for (const std::string_view one : kContexts) {
    if (text.starts_with(one)) return text.substr(one.size());
  }
  return std::nullopt;
}

}  // namespace

void drop_grad_contexts(std::vector<TextLine>& lines) {
  constexpr std::string_view kWith = "with ";
  for (TextLine& line : lines) {
    const std::string_view text = line.text;
    const size_t first = text.find_first_not_of(' ');
    if (first == text.npos) continue;
    const std::string_view code = text.substr(first);
    if (code.starts_with('@')) {
      const auto rest = behind_context(code.substr(1));
      const bool alone = rest && (trim(*rest).empty() || trim(*rest).starts_with('#'));
      if (alone) line.text.clear();
      continue;
    }
    if (!code.starts_with(kWith)) continue;
    const auto rest = behind_context(trim(code.substr(kWith.size())));
    if (!rest || !trim(*rest).starts_with(':')) continue;
    const size_t colon = static_cast<size_t>(rest->data() - text.data()) + rest->find(':');
    std::string made = std::string(first, ' ') + "if True";
    made.resize(colon, ' ');
    line.text = made + line.text.substr(colon);
  }
}

}  // namespace mlc::arch
