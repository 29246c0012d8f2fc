// Where a program states numbers that depend on the sizes of its weights, and how they are
// exchanged together with the weights. Plain data, because it crosses into the module.
#pragma once

#include "mlc/engine/architecture_source.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

/// A number that an operator is given and that is the same in every run.
struct ProgramNumber {
  std::string argument;           // as the operator's schema calls it: "size"
  std::optional<size_t> element;  // of a list
  int64_t value = 0;
  /// The program works it out; else it states it.
  bool is_computed = false;
  /// Where the program can be given another one: for ResizeRequest. Calls of one method of one
  /// module, and of one function, share it.
  size_t place = 0;
};

/// A tensor that an operator takes or gives.
struct SiteTensor {
  std::string argument;  // of those that it takes
  std::string value;     // its name in the graph of the capture
  size_t rank = 0;
};

/// A call of an operator that is given numbers.
struct ProgramSite {
  std::string op;     // "aten::view"
  std::string scope;  // the path of the module: "layer1.0"; empty at the root
  std::vector<SiteTensor> inputs;
  std::vector<SiteTensor> outputs;
  std::vector<ProgramNumber> numbers;
};

struct ResizeRequest {
  std::map<std::string, Weight> tensors;  // by their names in the state_dict
  std::map<size_t, int64_t> numbers;      // by ProgramNumber::place
};

}  // namespace mlc
