// Options that mean the same in every verb that runs a model.
#pragma once

#include "cli/option_set.h"
#include "command.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/input_spec.h"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

struct EngineOptions {
  std::string architecture;
  std::string key;
  std::vector<std::string> inputs;  // as typed, see mlc/engine/input_spec.h
  int64_t seed = 0;
  std::string device = "cpu";
  std::string dtype;  // empty: as the model is
  std::string channels_last = "auto";

  /// For Engine::load.
  LoadOptions load_options(const Context& context, Purpose purpose) const;
  ArtefactOptions artefact_options() const { return {architecture, key}; }
  /// The names of the sizes for which a range was typed.
  std::set<std::string> typed_ranges() const;
};

/// Those of --input, or, without any, what ARTEFACT declares. Error: usage
/// where --input makes no sense.
Result<std::vector<InputSpec>> choose_inputs(const EngineOptions& options,
                                             const Artefact& artefact);
void add_engine_options(OptionSet& set, EngineOptions& options,
                        std::string_view dtype_help =
                            "cast floating parameters and inputs "
                            "(default: as they are)");

/// Errors: usage where OUTPUT, links seen through, is MODEL. Files of options parse() has compared.
Status refuse_output_over_model(const std::string& output, const std::string& model);

}  // namespace mlc::cli
