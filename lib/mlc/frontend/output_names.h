// Names for the results of an exported program, from the structure that the model gave them in.
#pragma once

#include "mlc/frontend/json_place.h"

#include <string>
#include <vector>

namespace mlc {

/// COUNT names, as results of TorchScript have them: "output" for one alone, "output.0" and so on
/// for the items of tuples and lists, keys for those of dictionaries, "hidden.1" for what is
/// within. Where GRAPH_MODULE does not tell the structure, or one of another size, they are
/// numbered.
std::vector<std::string> output_names(const JsonPlace& graph_module, size_t count);

}  // namespace mlc
