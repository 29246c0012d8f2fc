// A short look at a value, written as Python would show it: {'lr': 0.001, 'betas': (0.9, 0.999)},
// argparse.Namespace(lr=0.1), <torch.FloatStorage 0>. For people: not meant to be read back.
#pragma once

#include "mlc/pickle/graph.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace mlc::pickle {

struct RenderOptions {
  size_t max_nodes = 200;  // values shown in all, whatever is shared or repeated
  size_t max_depth = 20;   // containers inside one another
  size_t max_text = 80;    // bytes of one text, before escaping
};

/// One line, harmless on a terminal whatever the pickle holds. What goes beyond the options, and a
/// container inside itself, is shown as "...".
std::string render(const Graph& graph, NodeId root, const RenderOptions& options = {});

/// The text of a whole value for comparing: equal where Python calls the values equal, however
/// their protocol spells them, the items of a set sorted, -0.0 as 0.0, every NaN the same. Nothing
/// where it would show more than MAX_NODES values or is nested too deeply: such values are not
/// known to be equal to anything. What IS_LEFT_OUT, if any, says yes to is shown as one mark: it is
/// compared elsewhere.
std::optional<std::string> canonical_text(const Graph& graph, NodeId root, size_t max_nodes,
                                          const std::function<bool(NodeId)>& is_left_out = {});

}  // namespace mlc::pickle
