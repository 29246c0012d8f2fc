// The text of methods, as TorchScript has to be given it so that it means what it does in Python.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/text_lines.h"
#include "mlc/yaml/document.h"

#include <vector>

namespace mlc::arch {

/// Makes in LINES the changes of python_reading.h; every character keeps its place in the YAML.
/// Errors point there, where NODE is any node: what would be computed twice.
Status write_as_python(std::vector<TextLine>& lines, const yaml::Node& node);

}  // namespace mlc::arch
