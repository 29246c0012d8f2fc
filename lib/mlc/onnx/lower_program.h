// A program of PyTorch becomes an ONNX model.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"
#include "mlc/onnx/model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace mlc::onnx {

struct ProgramValue {
  std::string name;
  ir::Value* value = nullptr;
};

/// What is lowered. The writes of the program are gone (passes/), but for those into its weights.
struct Program {
  std::shared_ptr<ir::Graph> graph;
  std::vector<ProgramValue> inputs;
  struct Weight {
    ir::Value* value = nullptr;
    DataRef data;
  };
  std::vector<Weight> weights;
  struct Output {
    std::string name;
    size_t result = 0;  // of the results of the graph
  };
  std::vector<Output> outputs;
};

struct OpMap;

struct LowerOptions {
  std::optional<int> opset;  // absent: 17, or what the operators need
  /// Operators that mlc cannot lower stay as they are, in domains that begin so (keep_operator.h);
  /// empty: they are problems.
  std::string partial_domain;
  /// What operators become before mlc's own table is asked (op_map.h); null: nothing.
  const OpMap* map = nullptr;
};

/// Something that cannot become ONNX.
struct Problem {
  std::string op;      // "aten::cdist"
  std::string reason;  // "no lowering": for operators that mlc does not know
  uint64_t count = 0;
  ir::Origin first;          // where it is used first
  bool can_be_kept = false;  // with a partial_domain
};

struct Lowered {
  Model model;  // without names of inner values, which finish() gives
  std::vector<Problem> problems;
  /// What the values of the program have become.
  std::unordered_map<const ir::Value*, Value*> values = {};
};

/// All problems are found, not only the first. Errors: unsupported for programs whose inputs have
/// no known type.
Result<Lowered> lower_program(const Program& program, const LowerOptions& options);

}  // namespace mlc::onnx
