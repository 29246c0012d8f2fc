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
  /// Names outside PyTorch's list, each once: "argparse.Namespace".
  std::vector<std::string> refused_globals;
  /// What else it refuses: "TorchScript archives", "the pickle opcode FRAME (protocol 4)".
  std::vector<std::string> refused;
  /// Who reads the format in place of torch.load ("numpy.load"); empty where torch.load does.
  std::string_view other_reader;

  /// False: torch.load refuses the file. True too for formats that it does not read.
  bool accepts() const { return refused_globals.empty() && refused.empty(); }
};

/// Looks at names, opcodes and calls, never at tensor bytes; it does not foresee errors that
/// PyTorch meets while it makes an allowed object.
WeightsOnlyVerdict weights_only_verdict(const Checkpoint& checkpoint);

}  // namespace mlc
