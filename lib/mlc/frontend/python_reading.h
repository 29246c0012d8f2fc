// The brackets that make the compiler of TorchScript read an expression as Python does. Its parser
// takes `~a & b` for `~(a & b)`, `a or b and c` for `(a or b) and c` and `0 < n < 2` for
// `(0 < n) < 2`, and says nothing:
//
//   ~a & b         ->   (~a) & b
//   a or b and c   ->   a or (b and c)
//   0 < n < 2      ->   (0 < n and n < 2)
//
// Nothing else changes, and every character keeps its place in the YAML.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/text_lines.h"
#include "mlc/yaml/document.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// Text that goes in front of the character at OFFSET.
struct Insertion {
  size_t offset = 0;
  std::string text;
};

struct PythonReading {
  std::vector<Insertion> insertions;  // ascending
  /// Where the middle of a chained comparison stands that cannot be computed twice, as the written
  /// out comparison would: a call that is not known to have no effect.
  std::optional<size_t> twice;
};

/// What STATEMENT, which may go over several lines, needs. Nothing where it is no Python that is
/// understood here: the compiler will complain.
PythonReading read_as_python(std::string_view statement);

/// Puts the brackets into LINES, the text of methods. Errors point into the YAML, of which NODE is
/// any node: a chained comparison that has to be written with `and`.
Status bracket_as_python(std::vector<TextLine>& lines, const yaml::Node& node);

}  // namespace mlc::arch
