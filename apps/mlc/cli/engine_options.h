// Options that mean the same in every verb that runs a model.
#pragma once

#include "cli/option_set.h"
#include "command.h"
#include "mlc/engine/engine.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::cli {

struct EngineOptions {
  std::vector<std::string> inputs;  // as typed, see mlc/engine/input_spec.h
  int64_t seed = 0;
  std::string device = "cpu";
  std::string dtype;  // empty: as the model is

  /// For Engine::load.
  LoadOptions load_options(const Context& context, Purpose purpose) const;
};
void add_engine_options(OptionSet& set, EngineOptions& options);

}  // namespace mlc::cli
