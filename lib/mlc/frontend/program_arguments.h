// The arguments of an exported program's nodes (torch/_export/serde/schema.py: Argument).
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/json_place.h"
#include "mlc/ir/graph.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace mlc {

/// The values of one graph of the file by their names, which are its own.
struct ProgramScope {
  JsonPlace graph;
  ir::Block* block = nullptr;
  std::map<std::string, ir::Value*, std::less<>> values;
};

/// Subgraphs among the arguments of a node, which become its blocks.
using ProgramGraphs = std::vector<JsonPlace>;

/// Reads arguments, whose integers become expressions of SYMBOLS, the graph's own. Errors: corrupt,
/// with the place in the file; unsupported for kinds that mlc does not have.
class ProgramArguments {
 public:
  explicit ProgramArguments(ir::Symbols& symbols) : symbols_(symbols) {}

  /// All of NODE's but its subgraphs, which are added to GRAPHS.
  Result<std::vector<ir::Argument>> read(ProgramScope& scope, const JsonPlace& node,
                                         ProgramGraphs& graphs);
  /// One; a subgraph is unsupported where GRAPHS is null.
  Result<ir::Attribute> attribute(ProgramScope& scope, const JsonPlace& argument,
                                  ProgramGraphs* graphs);

 private:
  Result<ir::Attribute> list_attribute(ProgramScope& scope, const std::string& kind,
                                       const JsonPlace& items);
  Result<ir::Attribute> symbolic(ProgramScope& scope, const JsonPlace& value, bool integer);

  ir::Symbols& symbols_;
};

}  // namespace mlc
