// Names for sizes that vary, as the grammar of inputs takes them, made of what a file calls them.
#pragma once

#include <map>
#include <set>
#include <string>

namespace mlc {

class SymbolNames {
 public:
  /// Always the same for one SOURCE, never the same for two: "batch", "past___1" of "past + 1".
  std::string of(const std::string& source);

 private:
  std::map<std::string, std::string> names_;
  std::set<std::string> taken_;
};

}  // namespace mlc
