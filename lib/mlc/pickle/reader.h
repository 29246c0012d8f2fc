// Reads a pickle into a Graph with a closed machine: it builds data and never imports, calls or
// allocates on a pickle's word. Protocols 0 to 5 (CPython Lib/pickletools.py is the specification);
// what no honest checkpoint contains (INST, OBJ, extension codes, out-of-band buffers) is refused
// by name.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/pickle/graph.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::pickle {

struct ReadOptions {
  /// Text persistent ids (PERSID) are what protocol 0 makes of storages, which PyTorch itself
  /// cannot load. Only the `pickle` member of the tar format uses them.
  bool allow_text_persistent_ids = false;
  uint64_t max_nodes = 50'000'000;
};

struct ReadResult {
  NodeId root = kNoNode;
  uint64_t size = 0;     // bytes up to and with STOP; what follows is not looked at
  uint8_t protocol = 0;  // of the first PROTO, 0 without one
  /// The first opcode that torch.load(weights_only=True) of PyTorch 2.13 does not run ("FRAME"), by
  /// its name; empty where it runs them all. It knows those of protocol 2 and a few more.
  std::string_view refused_opcode;
  std::vector<std::string> warnings;
};

/// Runs the machine over the first pickle in BYTES, adding nodes to GRAPH, which borrows text from
/// BYTES. Errors: corrupt and unsupported, naming the opcode and its offset.
Result<ReadResult> read(Bytes bytes, Graph& graph, const ReadOptions& options = {});

}  // namespace mlc::pickle
