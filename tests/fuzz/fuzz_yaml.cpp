// Any bytes: parse() returns a tree within its limits or an error, and reading every node is safe.
#include "mlc/yaml/document.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

void visit(const mlc::yaml::Node& node, size_t& budget) {
  if (budget == 0) return;
  --budget;
  if (node.kind() == mlc::yaml::Kind::scalar) {
    (void)node.as_int();
    (void)node.as_double();
    (void)node.as_bool();
  }
  for (const auto& item : node.items()) visit(item, budget);
  for (const auto& [key, value] : node.entries()) {
    if (node.find(key) != &value) __builtin_trap();
    visit(value, budget);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto node = mlc::yaml::parse(std::string(reinterpret_cast<const char*>(data), size), "fuzz.yaml");
  if (!node.ok()) return 0;
  size_t budget = 10'000;
  visit(*node, budget);
  return 0;
}
