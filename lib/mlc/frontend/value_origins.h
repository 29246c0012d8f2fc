// Where an architecture YAML says the numbers that modules are made with: for each argument the
// scalar that gives it and, where that is an expression, where the names in it come from.
#pragma once

#include "mlc/base/result.h"
#include "mlc/yaml/document.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mlc::arch {

/// Which of ValueOrigins::values, from 1 on; 0: none, mlc itself or a loop gave the value.
using OriginId = size_t;

/// A scalar, evaluated once for each module that it is part of.
struct ValueOrigin {
  yaml::Node node;
  int64_t value = 0;
  std::vector<std::pair<std::string, OriginId>> names;  // that its text has after a $
};

struct ModuleOrigins {
  std::string path;
  std::string type;
  bool is_class = false;                                    // its arguments are `$names`
  std::vector<std::pair<std::string, OriginId>> arguments;  // those that are integers
};

struct ValueOrigins {
  std::vector<ValueOrigin> values;
  std::vector<ModuleOrigins> modules;
  std::map<std::string, std::vector<OriginId>> tensors;  // of classes, by path: their dimensions

  const ValueOrigin& at(OriginId id) const { return values[id - 1]; }
};

class Architecture;

/// Reads the text of ARCHITECTURE once more. Errors: those of Architecture::parse().
Result<ValueOrigins> find_origins(const Architecture& architecture);

}  // namespace mlc::arch
