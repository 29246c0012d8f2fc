// Keys of one mapping that print alike: 0 and "0".
#pragma once

#include "mlc/pickle/graph.h"

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The texts that print both a key which is a text and one which is none.
class AlikeKeys {
 public:
  /// Takes the texts out of GRAPH, which may grow afterwards.
  AlikeKeys(const pickle::Graph& graph, const std::vector<pickle::Entry>& entries);

  bool contains(std::string_view text) const { return alike_.contains(text); }

 private:
  std::set<std::string, std::less<>> alike_;
};

}  // namespace mlc
