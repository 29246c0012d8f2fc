// Arguments of a model that are numbers, where another form of it takes them as it can: as tensors
// of its own types, or not at all where they are part of it.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace mlc {

struct NumberInputs {
  std::vector<std::string> kept;  // inputs of both
  std::set<std::string> frozen;   // inputs of the first form alone
};

/// MODEL, the other form, which takes the inputs of the first one.
std::unique_ptr<Model> with_number_inputs(std::unique_ptr<Model> model, NumberInputs numbers);

}  // namespace mlc
