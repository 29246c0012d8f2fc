// Values of constructor arguments: what YAML gives them and how TorchScript writes them.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlc::arch {

using Ints = std::vector<int64_t>;

/// None, bool, int, float, str and the lists of TorchScript. An empty YAML list is a list of ints.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Ints,
                           std::vector<double>, std::vector<std::string>>;

/// A null within a list of ints: "keep the size of the input", as in AdaptiveAvgPool2d([null, 7]).
inline constexpr int64_t kNoneInList = std::numeric_limits<int64_t>::min();

/// A named value: an argument of a constructor, or a constant attribute of a module.
struct Constant {
  std::string name;
  Value value;
};

/// As Python and TorchScript source: None, True, 3, 1e-05, [1, 2], "zeros".
std::string python_literal(const Value& value);
/// For messages: "null", "a boolean", "an integer", "a number", "a string", "a list".
std::string describe(const Value& value);
/// For messages: the value as the YAML has it, cut and harmless on a terminal.
std::string shown(const Value& value);

}  // namespace mlc::arch
