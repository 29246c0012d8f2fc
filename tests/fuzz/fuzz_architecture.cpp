// Architecture YAML. What is accepted must be whole: a place for every line of source, tensors
// whose bytes can be counted, ties that lead to a tensor.
#include "mlc/base/checked_math.h"
#include "mlc/frontend/architecture.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_set>

namespace {

using mlc::arch::ScriptModule;
using mlc::arch::ScriptTensor;

void need(bool sound) {
  if (!sound) std::abort();
}

void check_tensor(const ScriptTensor& tensor) {
  std::optional<int64_t> bytes = static_cast<int64_t>(mlc::element_bytes(tensor.dtype));
  for (const int64_t size : tensor.shape) {
    need(size >= 0);
    if (size > 0) bytes = mlc::checked_mul(*bytes, size);
    need(bytes.has_value());
  }
}

void check_module(const ScriptModule& module, std::unordered_set<std::string>& paths,
                  std::vector<std::string>& targets) {
  const auto& source = module.source;
  need(static_cast<size_t>(std::count(source.begin(), source.end(), '\n')) == module.lines.size());
  for (size_t line = 1; line <= module.lines.size(); ++line) {
    need(mlc::arch::position_in_yaml(module, line, 3).line > 0);
  }
  for (const auto* list : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& tensor : *list) {
      check_tensor(tensor);
      need(paths.insert(tensor.path).second);
      if (!tensor.tied_to.empty()) targets.push_back(tensor.tied_to);
    }
  }
  for (const ScriptModule& child : module.children) check_module(child, paths, targets);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)mlc::arch::looks_like_architecture(text);
  const auto architecture = mlc::arch::Architecture::parse(text, "a.yaml");
  if (!architecture.ok()) return 0;
  std::unordered_set<std::string> paths;
  std::vector<std::string> targets;
  check_module(architecture->root(), paths, targets);
  for (const std::string& target : targets) need(paths.contains(target));
  (void)mlc::arch::state_dict_of(*architecture);
  return 0;
}
