// What makes the compiler of TorchScript read a statement as Python does. Its parser takes `~a & b`
// for `~(a & b)`, `a or b and c` for `(a or b) and c` and `0 < n < 2` for `(0 < n) < 2`, and says
// nothing; `n %= 3` is fmod to it, `m &= n` is not in place:
//
//   ~a & b         ->   (~a) & b
//   a or b and c   ->   a or (b and c)
//   0 < n < 2      ->   (0 < n and n < 2)
//   n %= 3         ->   n = __imod__(n, 3)               python_calls.h
//   x.bool()       ->   x.to(torch.bool)
//   x.norm(dim=1)  ->   x.norm(2, dim=1)
//   m = k or 8     ->   m = __flag__(k) or __flag__(8)   which is refused
//
// Nothing else changes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// Text that goes in front of the character at OFFSET, and takes the place of so many.
struct TextChange {
  size_t offset = 0;
  size_t replaces = 0;
  std::string text;
};

/// What cannot be written out, because it would be computed twice and that may have an effect.
struct ComputedTwice {
  enum class What { middle, target };  // of a chained comparison; of an assignment
  What what = What::middle;
  size_t offset = 0;
};

struct PythonReading {
  std::vector<TextChange> changes;  // ascending
  std::optional<ComputedTwice> twice;
};

/// What STATEMENT, which may go over several lines, needs. Nothing where it is no Python that is
/// understood here: the compiler will complain.
PythonReading read_as_python(std::string_view statement);

}  // namespace mlc::arch
