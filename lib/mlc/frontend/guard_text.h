// What torch.export writes of the conditions that it relied on: comparisons in Python, of which the
// ones about sizes are read for a machine with a stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class GuardOp : uint8_t {
  number,
  size,  // of a dimension of an input, or what an integer input is
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  remainder,
  power,
  minimum,
  maximum,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  both,
  either,
  negate,
  absolute,
  square_root,
  truncate,
  round_down,
  round_up,
  round_even,
  no,
};

/// How many values it takes from the stack.
constexpr size_t taken_by(GuardOp op) {
  if (op <= GuardOp::size) return 0;
  return op >= GuardOp::negate ? 1 : 2;
}

struct GuardStep {
  GuardOp op = GuardOp::number;
  double number = 0;
  std::string input;           // of a size: as the program calls it, "kv_0" for L['kv'][0]
  std::optional<int64_t> dim;  // nothing: what the input is
};

struct Guard {
  std::string text;  // for people: "x.size(1) % 2 == 0"
  std::vector<GuardStep> steps;
};

/// Nothing where CODE is no condition on numbers that are made of sizes.
std::optional<Guard> read_guard(std::string_view code);

}  // namespace mlc
