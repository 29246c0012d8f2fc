// CPython's Lib/_compat_pickle.py, as far as files of PyTorch may have it: pickles of protocol 2
// have the old names, whichever Python writes them.
#include "mlc/pickle/names_today.h"

#include <algorithm>
#include <utility>

namespace mlc::pickle {
namespace {

using Renamed = std::pair<std::string_view, std::string_view>;  // old, new

constexpr Renamed kModules[] = {
    {"Queue", "queue"},
    {"StringIO", "io"},
    {"UserDict", "collections"},
    {"UserList", "collections"},
    {"UserString", "collections"},
    {"__builtin__", "builtins"},
    {"cPickle", "pickle"},
    {"cStringIO", "io"},
    {"commands", "subprocess"},
    {"copy_reg", "copyreg"},
    {"exceptions", "builtins"},
    {"thread", "_thread"},
};

/// By the new names of their modules.
constexpr Renamed kNames[] = {
    {"_functools.reduce", "functools.reduce"},
    {"builtins.StandardError", "builtins.Exception"},
    {"builtins.basestring", "builtins.str"},
    {"builtins.intern", "sys.intern"},
    {"builtins.long", "builtins.int"},
    {"builtins.reduce", "functools.reduce"},
    {"builtins.unichr", "builtins.chr"},
    {"builtins.unicode", "builtins.str"},
    {"builtins.xrange", "builtins.range"},
    {"collections.IterableUserDict", "collections.UserDict"},
    {"itertools.ifilter", "builtins.filter"},
    {"itertools.ifilterfalse", "itertools.filterfalse"},
    {"itertools.imap", "builtins.map"},
    {"itertools.izip", "builtins.zip"},
    {"itertools.izip_longest", "itertools.zip_longest"},
};

template <size_t N>
std::string_view renamed(const Renamed (&table)[N], std::string_view name) {
  const auto* const row = std::ranges::find(table, name, &Renamed::first);
  return row != std::end(table) ? row->second : name;
}

}  // namespace

std::string_view module_today(std::string_view module) {
  return renamed(kModules, module);
}

std::string path_today(std::string_view module, std::string_view name) {
  constexpr std::string_view kOldCore = "numpy.core";
  module = module_today(module);
  std::string path = std::string(module).append(1, '.').append(name);
  if (path.starts_with(kOldCore) && path[kOldCore.size()] == '.') {
    return path.replace(0, kOldCore.size(), "numpy._core");
  }
  return std::string(renamed(kNames, path));
}

}  // namespace mlc::pickle
