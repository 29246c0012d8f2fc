#include "mlc/frontend/module_types.h"

#include <algorithm>
#include <iterator>

namespace mlc::arch {
namespace {

constexpr std::span<const ModuleType> (*kFamilies[])() = {
    convolution_types, linear_types,    norm_types,       pool_types,
    activation_types,  embedding_types, recurrent_types,  attention_types,
    transformer_types, padding_types,   resampling_types, shape_types};

}  // namespace

const ModuleType* find_module_type(std::string_view name) {
  for (const auto family : kFamilies) {
    const auto rows = family();
    const auto it = std::find_if(rows.begin(), rows.end(),
                                 [name](const ModuleType& row) { return row.name == name; });
    if (it != rows.end()) return &*it;
  }
  return nullptr;
}

std::vector<ModuleType> all_module_types() {
  std::vector<ModuleType> out;
  for (const auto family : kFamilies) {
    const auto rows = family();
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

std::vector<std::string> module_type_names() {
  std::vector<std::string> out(std::begin(kContainers), std::end(kContainers));
  for (const ModuleType& row : all_module_types()) out.emplace_back(row.name);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace mlc::arch
