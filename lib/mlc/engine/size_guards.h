// What torch.export found to hold for the sizes of inputs, and relied on: "L['x'].size()[0] % 2
// == 0", as the field guards_code of a .pt2 has it (torch/_export/serde, torch 2.9 and later).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The size of a dimension of an input; nothing where there is no such input or dimension.
using SizeOf = std::function<std::optional<int64_t>(std::string_view input, int64_t dim)>;

class SizeGuards {
 public:
  SizeGuards() = default;
  /// CODES that are no comparison of whole numbers made of sizes are left out: they are about other
  /// things than sizes, and a program that breaks them fails where it runs.
  explicit SizeGuards(std::span<const std::string> codes);

  /// The first that does not hold, as "x.size(0) % 2 == 0"; nothing where all hold. What cannot be
  /// computed (a division by zero, an input that is not there) holds.
  std::optional<std::string> broken(const SizeOf& size_of) const;

 private:
  enum class Kind : uint8_t {
    number,
    size,
    add,
    subtract,
    multiply,
    divide,
    remainder,
    minimum,
    maximum,
    negate,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
  };
  /// A step of a stack machine.
  struct Step {
    Kind kind = Kind::number;
    int64_t number = 0;  // or the dimension
    std::string input;
  };
  struct Guard {
    std::string text;
    std::vector<Step> steps;
  };
  friend class GuardParser;

  static std::optional<int64_t> apply(Kind kind, int64_t a, int64_t b);
  static std::optional<int64_t> value(const Guard& guard, const SizeOf& size_of);

  std::vector<Guard> guards_;
};

}  // namespace mlc
