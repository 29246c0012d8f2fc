// The sizes and types of an exported program's values, which its JSON gives as sympy expressions
// over named symbols (torch/_export/serde/schema.py: SymInt, TensorMeta, RangeConstraint).
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/json_place.h"
#include "mlc/ir/graph.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// Reads sizes into the symbols of one graph, which has to outlive it. Errors: corrupt, with the
/// place in the file; unsupported for types that mlc does not have.
class ProgramSizes {
 public:
  explicit ProgramSizes(ir::Symbols& symbols) : symbols_(symbols) {}

  /// The bounds of the symbols, from `range_constraints` of the whole program ROOT. Symbols that
  /// are met before have none.
  Status read_ranges(const JsonPlace& root);
  /// The bounds of symbols, by their names, instead of those that were read. Symbols that are met
  /// before have none.
  void set_ranges(const std::map<std::string, ir::Bounds, std::less<>>& ranges) {
    for (const auto& [name, bounds] : ranges) ranges_.insert_or_assign(name, bounds);
  }
  /// A size or integer; nothing for an expression that mlc cannot hold.
  Result<std::optional<ir::Expr>> size(const JsonPlace& value);
  /// The sizes of LIST, all of which have to be numbers.
  Result<std::vector<int64_t>> plain_sizes(const JsonPlace& list);
  /// The type of the tensor NAME of GRAPH. Sizes that mlc cannot hold become fresh
  /// symbols, one for each expression: a number that the program computes may tell it.
  Result<ir::TensorType> tensor_type(const JsonPlace& graph, const std::string& name);
  /// The same of an integer.
  Result<ir::Type> integer_type(const JsonPlace& graph, const std::string& name);
  /// What the sizes were when the program was exported, by the names of their symbols.
  const std::map<std::string, int64_t>& examples() const { return examples_; }

 private:
  Result<ir::Expr> symbol(std::string_view name);
  Result<ir::Expr> size_or_symbol(const JsonPlace& value, std::string_view prefix,
                                  ir::Bounds bounds);

  ir::Symbols& symbols_;
  std::map<std::string, ir::Bounds, std::less<>> ranges_;
  std::map<std::string, int64_t> examples_;
  std::map<std::string, ir::Expr> unread_;  // symbols for expressions that mlc cannot hold
};

}  // namespace mlc
