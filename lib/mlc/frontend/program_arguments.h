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

/// Reads arguments, whose integers become expressions of GRAPH's symbols. Errors: corrupt, with the
/// place in the file; unsupported for kinds that mlc does not have.
class ProgramArguments {
 public:
  explicit ProgramArguments(ir::Graph& graph) : graph_(graph), symbols_(graph.symbols()) {}

  /// All of NODE's but its subgraphs, which are added to GRAPHS. Complex numbers where tensors may
  /// stand become tensors: the nodes that make them are appended to the block of SCOPE.
  Result<std::vector<ir::Argument>> read(ProgramScope& scope, const JsonPlace& node,
                                         ProgramGraphs& graphs);
  /// One; a subgraph is unsupported where GRAPHS is null.
  Result<ir::Attribute> attribute(ProgramScope& scope, const JsonPlace& argument,
                                  ProgramGraphs* graphs);

 private:
  /// A complex number among the arguments, by its place there.
  struct Complex {
    size_t argument = 0;
    double real = 0;
    double imag = 0;
  };

  Result<ir::Attribute> list_attribute(ProgramScope& scope, const std::string& kind,
                                       const JsonPlace& items);
  Result<ir::Attribute> symbolic(ProgramScope& scope, const JsonPlace& value, bool integer);

  ir::Value* complex_tensor(ir::Block& block, const Complex& number, bool doubles);

  ir::Graph& graph_;
  ir::Symbols& symbols_;
};

}  // namespace mlc
