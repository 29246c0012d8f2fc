// What torch.load(weights_only=True) of PyTorch 2.13 says to a file: the names that it refuses, and
// the pickles, containers and calls that it refuses whatever they name
// (torch/_weights_only_unpickler.py, torch.load in torch/serialization.py).
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc {

struct WeightsOnlyVerdict {
  /// Names outside PyTorch's list, each once: those of code_globals, then "numpy.dot" and others
  /// that do not look like classes, then "argparse.Namespace".
  std::vector<std::string> refused_globals;
  /// Those of them that pickle::runs_code() knows.
  std::vector<std::string> code_globals;
  /// How many of these, which come first, the file calls itself.
  size_t called_code = 0;
  /// What else it refuses: "TorchScript archives", "the pickle opcode FRAME (protocol 4)".
  std::vector<std::string> refused;
  /// Where nothing else is refused: the packages after whose import it knows all of
  /// refused_globals ("torch.distributed.tensor" of DTensors).
  std::vector<std::string> imports;
  /// Who reads the format in place of torch.load ("numpy.load"); empty where torch.load does.
  std::string_view other_reader;

  /// False: torch.load refuses the file. True too for formats that it does not read.
  bool accepts() const { return refused_globals.empty() && refused.empty(); }
  /// " without `import torch._dynamo`", behind what is refused; empty where no import helps.
  std::string without_imports() const;
  /// refused_globals for people, who are not to miss code among classes:
  /// "posix.system (runs code), argparse.Namespace, a.B, c.D and 5 more".
  std::string globals_text() const;
  /// refused_globals, so marked, and then `refused`: for join_list().
  std::vector<std::string> texts() const;

 private:
  std::vector<std::string> marked_globals() const;
};

/// Looks at names, opcodes and calls, never at tensor bytes; it does not foresee errors that
/// PyTorch meets while it makes an allowed object.
WeightsOnlyVerdict weights_only_verdict(const Checkpoint& checkpoint);

/// What it will say to the torch.save zip that is written of CHECKPOINT as it is in memory:
/// pickle::write() has forms of its own, names among them that the input, of another protocol, does
/// without.
WeightsOnlyVerdict verdict_once_written(const Checkpoint& checkpoint);

/// What it will refuse of NODE itself, whatever NODE refers to, as pickle::write() writes it: a
/// name, "builtins.frozenset", or "integers of more than 255 bytes". Empty for nothing.
std::string refused_once_written(const pickle::Graph& graph, NodeId node);

}  // namespace mlc
