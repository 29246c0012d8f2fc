// NumPy arrays inside pickles: tensors in files of pickle.dump. Those in files of torch.save stay
// Python objects, as torch.load gives them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/pickled_bytes.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlc {

/// Turns every array of plain numbers among the nodes from FIRST on into a tensor node. Arrays of
/// objects, texts and dates stay as they are. Errors: corrupt for arrays whose size and bytes
/// contradict.
Status adopt_numpy_arrays(Checkpoint& checkpoint, NodeId first, PickledBytes& source);

/// How many arrays of plain numbers NODE leads to.
uint64_t count_numpy_arrays(const pickle::Graph& graph, NodeId node);

/// "numpy f32[3, 4]" for an array of plain numbers at NODE; empty for anything else.
std::string numpy_array_text(const pickle::Graph& graph, NodeId node);

/// Whether the arrays of plain numbers at A of GRAPH_A and B of GRAPH_B have one type, one shape
/// and the same bits in each element, however they were pickled and in whichever order their bytes
/// and dimensions lie. Nothing where one is no such array.
std::optional<bool> same_numpy_arrays(const pickle::Graph& graph_a, NodeId a,
                                      const pickle::Graph& graph_b, NodeId b);

}  // namespace mlc
