#include "mlc/ir/block_ops.h"

#include <algorithm>
#include <iterator>

namespace mlc::ir {

bool runs_its_block_once(const OpName& op) {
  constexpr std::string_view kNames[] = {
      "hints_wrapper",
      "invoke_subgraph",
      "strict_mode",
      "tag_activation_checkpoint",
      "wrap",
      "wrap_activation_checkpoint",
      "wrap_with_autocast",
      "wrap_with_set_grad_enabled",
  };
  return op.domain == "higher_order" && std::ranges::find(kNames, op.name) != std::end(kNames);
}

}  // namespace mlc::ir
