// What torch.export found to hold for the sizes of inputs, and relied on: "L['x'].size()[0] % 2
// == 0", as the field guards_code of a .pt2 has it (torch/_export/serde, torch 2.9 and later).
#pragma once

#include "mlc/frontend/guard_text.h"
#include "mlc/ir/real_size.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The size of a dimension of an input, or what an integer input is where DIM is nothing; nothing
/// where there is no such input or dimension.
using SizeOf = std::function<std::optional<int64_t>(std::string_view input,
                                                    const std::optional<int64_t>& dim)>;
/// The same, of all sizes that are looked at together.
using RangeOf = std::function<std::optional<ir::RealRange>(std::string_view input,
                                                           const std::optional<int64_t>& dim)>;

class SizeGuards {
 public:
  SizeGuards() = default;
  /// CODES that are no condition on numbers made of sizes are left out: they are about other things
  /// than sizes, and a program that breaks them fails where it runs.
  explicit SizeGuards(std::span<const std::string> codes);

  /// The first that does not hold, as "x.size(0) % 2 == 0"; nothing where all hold. What cannot be
  /// computed (a division by zero, an input that is not there) holds.
  std::optional<std::string> broken(const SizeOf& size_of) const;
  /// The first that holds for no sizes within the ranges, as far as that can be told.
  std::optional<std::string> refuted(const RangeOf& range_of) const;

  const std::vector<Guard>& all() const { return guards_; }

 private:
  std::vector<Guard> guards_;
};

}  // namespace mlc
