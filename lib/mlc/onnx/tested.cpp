#include "mlc/onnx/tested.h"

#include <algorithm>
#include <iterator>

namespace mlc::onnx {
namespace {

constexpr Tested kTested[] = {
#include "mlc/onnx/tested.inc"
};

static_assert(std::ranges::is_sorted(kTested, {}, &Tested::op));

}  // namespace

const Tested* find_tested(std::string_view op) {
  const auto* const row = std::ranges::lower_bound(kTested, op, {}, &Tested::op);
  return row != std::end(kTested) && row->op == op ? row : nullptr;
}

}  // namespace mlc::onnx
