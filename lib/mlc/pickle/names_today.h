// Names of classes and functions that moved: one thing that Python 2, Python 3 and the releases of
// NumPy pickle under several names.
#pragma once

#include <string>
#include <string_view>

namespace mlc::pickle {

/// MODULE of Python 2 by its name in Python 3 (`__builtin__` is `builtins`); others stay.
std::string_view module_today(std::string_view module);

/// "module.name" as Python 3 and NumPy 2 know it: `__builtin__.long` is `builtins.int`,
/// `numpy.core.multiarray.scalar` is `numpy._core.multiarray.scalar`.
std::string path_today(std::string_view module, std::string_view name);

}  // namespace mlc::pickle
