// What torch.export.save wrote about a program: models/*.json of a .pt2, as a graph.
//
//   MLC_TRY(ExportedProgram program, read_exported_program(json, "models/model.json"));
//   to_text(program.graph);
//
// Source: torch/_export/serde/schema.py of PyTorch 2.13, major version 8 (PyTorch 2.6 and later).
// Arguments keep the names of the operator's schema; those of higher-order operators have none and
// are numbered. Sizes become expressions over the symbols of the export (s77), which stand for the
// sizes that may vary; what no expression can say is a symbol of its own (u0), which the value that
// has it defines. LibTorch is not needed.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct ProgramWeight {
  ir::Value* value = nullptr;  // named as in the program: "p_fc_weight"
  std::string key;             // under which the archive has it: "fc.weight"
  std::vector<int64_t> strides;
  bool persistent = true;  // buffers: whether the state_dict has it
};

/// An argument of the program, nested ones taken apart.
struct ProgramInput {
  std::string name;
  ir::Value* value = nullptr;  // null: a number that the export fixed, or an argument left out
  std::string fixed;           // then what it is: "3", "None"
};

/// One of the results of the graph. Results that are no values are numbers, or None.
struct ProgramOutput {
  std::string name;  // "output", "output.1", "logits", as the structure of the result has it
  size_t result = 0;
};

/// A result that is the new content of a weight or of an input: how a program without writes says
/// that the model wrote there.
struct ProgramMutation {
  size_t result = 0;
  ir::Value* target = nullptr;
};

struct ExportedProgram {
  ir::Graph graph{"model"};
  std::vector<ProgramWeight> weights;
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  std::vector<ProgramMutation> mutations;
  /// What the symbols of graph.symbols() were when the program was exported; absent where unknown.
  std::map<std::string, int64_t> examples;
  /// What the export found to hold for the sizes of inputs, as Python: "L['x'].size()[0] <= 64".
  std::vector<std::string> guards;
  /// What guards leave of sizes that the export calls free, for people: "x.size(1) is 6 only, by
  /// ...". The bounds of their symbols say the same.
  std::vector<std::string> notes;
};

/// RECORD is where JSON lay, for errors. Errors: corrupt, with the place in the JSON; unsupported,
/// naming the version for other major versions, and arguments that mlc does not know.
Result<ExportedProgram> read_exported_program(std::string_view json, const std::string& record);

}  // namespace mlc
