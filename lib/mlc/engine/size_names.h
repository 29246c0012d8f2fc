// What people call the sizes of a program that vary, where its file has only numbers for them.
#pragma once

#include "mlc/frontend/exported_program.h"
#include "mlc/ir/symbols.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace mlc {

/// The index among all SYMBOLS of what SIZE is, where it is nothing but a symbol.
std::optional<size_t> lone_symbol(const ir::Symbols& symbols, ir::Expr size);

/// "batch", "seq", "height", "width" or "dim3", by the first place that a size has in an input of
/// PROGRAM, from the name that torch.export gave it: "s77". Two sizes never get one name:
/// "batch_2". Names that people gave are not in it.
std::map<std::string, std::string> usual_size_names(const ExportedProgram& program);

/// SIZE in words of NAMES, which may lack some: "2*batch + 1".
std::string text_with_names(const ir::Symbols& symbols, ir::Expr size,
                            const std::map<std::string, std::string>& names);

}  // namespace mlc
