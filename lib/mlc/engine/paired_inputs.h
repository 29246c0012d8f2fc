// One model under the names that another one has for its inputs.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <memory>
#include <span>
#include <string>

namespace mlc {

struct PairedModel {
  std::unique_ptr<Model> model;
  std::string pairs;  // "ids as input_ids, mask as attention_mask"; empty: the names are the same
};

/// MODEL itself where it knows all names of SPECS. Where it knows none, none is a typing error of
/// one that it knows, and it requires as many inputs, it takes the first of SPECS for its first
/// input, and so on: the same network is called with other names after an export. Error: usage, as
/// match_inputs().
Result<PairedModel> pair_inputs(std::unique_ptr<Model> model, std::span<const InputSpec> specs);

}  // namespace mlc
