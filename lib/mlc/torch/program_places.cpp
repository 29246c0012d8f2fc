#include "mlc/torch/program_places.h"

namespace mlc::torch_module {

size_t ProgramPlaces::add(const NumberUse& use, int64_t value) {
  const size_t element = use.element ? *use.element + 1 : 0;
  const auto [known, is_new] =
      known_.try_emplace({use.node, use.input, element, use.module}, all_.size());
  if (is_new) all_.push_back({use, value});
  return known->second;
}

}  // namespace mlc::torch_module
