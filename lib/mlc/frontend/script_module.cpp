#include "mlc/frontend/script_module.h"

#include <algorithm>
#include <utility>

namespace mlc::arch {

const ScriptModule* ScriptModule::child(std::string_view child_name) const {
  const auto it = std::find_if(children.begin(), children.end(),
                               [&](const ScriptModule& one) { return one.name == child_name; });
  return it == children.end() ? nullptr : &*it;
}

void set_generated_source(ScriptModule& module, std::string source) {
  const auto lines = std::count(source.begin(), source.end(), '\n');
  module.lines.assign(static_cast<size_t>(lines), SourceLine{});
  module.source = std::move(source);
}

Position position_in_yaml(const ScriptModule& module, size_t line, size_t column) {
  if (line == 0 || line > module.lines.size()) return module.position;
  const SourceLine& from = module.lines[line - 1];
  if (from.position.line == 0) return module.position;
  size_t yaml_column = column;
  for (const ColumnShift& shift : from.shifts) {
    if (shift.source <= column) {
      yaml_column = shift.yaml + (column - shift.source);
    } else {
      yaml_column = std::min(yaml_column, shift.yaml);  // what was written in place of less
      break;
    }
  }
  return {from.position.line, from.position.column + std::max<size_t>(yaml_column, 1) - 1};
}

}  // namespace mlc::arch
