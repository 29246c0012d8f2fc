#include "mlc/engine/program_inputs.h"

#include "mlc/engine/size_names.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace mlc {
namespace {

/// The size of a dimension when it was exported; 1 where nobody knows, or the least that is
/// allowed.
int64_t example_of(const ExportedProgram& program, ir::Expr size) {
  std::vector<std::optional<int64_t>> values;
  for (const ir::Symbol& symbol : program.graph.symbols().all()) {
    const auto known = program.examples.find(symbol.name);
    const int64_t least = std::max<int64_t>(symbol.bounds.low, 1);
    values.emplace_back(known == program.examples.end() ? least : known->second);
  }
  return ir::Evaluator(program.graph.symbols(), values)(size).value_or(1);
}

InputDim dim_of(const ExportedProgram& program, const std::map<std::string, std::string>& names,
                ir::Expr size) {
  const ir::Symbols& symbols = program.graph.symbols();
  InputDim out;
  out.example = example_of(program, size);
  const std::string text = symbols.text(size);
  if (!ir::is_symbol_name(text)) return out;
  const auto name = names.find(text);
  out.symbol = name == names.end() ? text : name->second;
  const ir::Bounds bounds = symbols.bounds(size);
  if (bounds.high != ir::kUnbounded) out.bounds = {std::max<int64_t>(bounds.low, 0), bounds.high};
  return out;
}

}  // namespace

std::vector<InputSpec> program_inputs(const ExportedProgram& program) {
  const std::map<std::string, std::string> names = usual_size_names(program);
  std::vector<InputSpec> out;
  for (const ProgramInput& input : program.inputs) {
    if (input.value == nullptr) continue;
    InputSpec spec;
    spec.name = input.name;
    if (const ir::TensorType* tensor = input.value->tensor()) {
      spec.dtype = *tensor->dtype;
      for (const ir::Expr size : *tensor->sizes) spec.dims.push_back(dim_of(program, names, size));
    } else {
      const auto& scalar = std::get<ir::ScalarType>(input.value->type());
      spec.dtype = DType::i64;
      const int64_t example = scalar.value ? example_of(program, *scalar.value) : 1;
      spec.values = ValueRange{example, example, 0, 0};
    }
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace mlc
