#include "mlc/engine/symbol_names.h"

namespace mlc {

std::string SymbolNames::of(const std::string& source) {
  const auto [known, is_new] = names_.try_emplace(source);
  if (!is_new) return known->second;
  std::string name;
  for (const char c : source) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (name.empty() && !letter) name = "d";
    name += letter || digit ? c : '_';
  }
  if (name.empty()) name = "d";
  while (!taken_.insert(name).second) name += '_';
  known->second = name;
  return name;
}

}  // namespace mlc
