// Arguments of forward that are ints, floats and bools: inputs of the graph where the program can
// be captured for any of their values, else numbers that are part of it.
#pragma once

#include "mlc/engine/lanes.h"
#include "mlc/torch/capture.h"
#include "mlc/torch/capturer.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::torch_module {

struct NumberInput {
  std::string name;
  std::string text;                // its value, as people write it
  std::optional<LaneSymbol> size;  // of an int: a symbol for it, which is not below 0
  std::string why_frozen;          // not empty: why it has to be part of the graph
};

/// Those of TARGET that REQUEST gives a value and does not freeze. Negative ints are always frozen:
/// sizes are computed from ints. Errors: those of making the values.
Result<std::vector<NumberInput>> number_inputs(const CaptureTarget& target,
                                               const CaptureRequest& request);

/// Lets ATTEMPT, which knows its other symbols, take NUMBERS as inputs of the graph.
void add_numbers(std::span<const NumberInput> numbers, CaptureAttempt& attempt);

/// GIVEN in a lane, the given one in the first: other values in the others, so that nothing that is
/// computed from it looks as if it were always the same.
c10::IValue number_in_lane(const c10::IValue& given, size_t lane);

/// Whether VALUE is an int, a float or a bool.
bool is_number(const c10::IValue& value);

/// As in messages and in the file: "4", "0.5", "true".
std::string number_text(const c10::IValue& number);

}  // namespace mlc::torch_module
