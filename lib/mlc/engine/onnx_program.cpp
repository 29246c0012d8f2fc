#include "mlc/engine/onnx_program.h"

#include "mlc/base/text.h"
#include "mlc/engine/size_names.h"
#include "mlc/ir/substitute.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace mlc {
namespace {

onnx::DataRef data_of(const ProgramWeight& weight, const Weight& value) {
  auto out = std::make_shared<onnx::TensorData>();
  out->dtype = value.dtype;
  out->sizes = value.sizes;
  out->key = weight.key;
  // Tied weights are one place in memory.
  if (!value.bytes.empty()) {
    out->identity = fmt::format("@{}", static_cast<const void*>(value.bytes.data()));
  }
  out->produce = [buffer = onnx::Buffer{value.bytes, value.owner}]() -> Result<onnx::Buffer> {
    return buffer;
  };
  return out;
}

/// What RESULT is, where it is nothing that an ONNX model gives; else empty.
std::string kind_of_result(const ir::Attribute& result) {
  if (const auto* text = std::get_if<std::string>(&result)) return "the text " + quoted(*text);
  if (const auto* device = std::get_if<ir::Device>(&result)) return "the device " + device->name;
  if (std::holds_alternative<DType>(result)) return "a dtype";
  if (std::holds_alternative<ir::Layout>(result)) return "a layout";
  if (std::holds_alternative<ir::MemoryFormat>(result)) return "a memory format";
  return "";
}

/// The outputs of PROGRAM; None is none, as for those who run it. Errors: unsupported, naming all
/// that are neither tensors nor numbers.
Result<std::vector<onnx::Program::Output>> results_of(const ExportedProgram& program) {
  const auto& results = program.graph.body().results()->arguments();
  std::vector<onnx::Program::Output> out;
  std::vector<std::string> unfit;
  for (const ProgramOutput& output : program.outputs) {
    const ir::Attribute& result = results.at(output.result).value;
    if (std::holds_alternative<ir::None>(result)) continue;
    const std::string kind = kind_of_result(result);
    if (!kind.empty()) unfit.push_back(quoted(output.name) + " is " + kind);
    out.push_back({output.name, output.result});
  }
  if (!unfit.empty()) {
    return unsupported("an ONNX model gives tensors and numbers, and output " + join_list(unfit),
                       "wrap the model in one whose forward leaves that out");
  }
  if (out.empty()) return unsupported("the model gives nothing, so there is nothing to export");
  return out;
}

}  // namespace

Result<onnx::Program> onnx_program(const ProgramSource& source) {
  onnx::Program out;
  out.graph = std::shared_ptr<ir::Graph>(source.program, &source.program->graph);
  for (const ProgramInput& input : source.program->inputs) {
    if (input.value != nullptr) out.inputs.push_back({input.name, input.value});
  }
  for (const ProgramWeight& weight : source.program->weights) {
    if (weight.value->uses().empty()) continue;
    MLC_TRY(const Weight value, source.weight(weight));
    out.weights.push_back({weight.value, data_of(weight, value)});
  }
  MLC_TRY(out.outputs, results_of(*source.program));
  return out;
}

std::vector<std::string> written_by(const ExportedProgram& program) {
  std::vector<std::string> out;
  for (const ProgramMutation& mutation : program.mutations) {
    const auto weight = std::ranges::find(program.weights, mutation.target, &ProgramWeight::value);
    out.push_back(weight == program.weights.end() ? mutation.target->name() : weight->key);
  }
  return out;
}

namespace {

class SizeNames {
 public:
  SizeNames(ExportedProgram& program, std::span<const InputSpec> specs)
      : program_(program), symbols_(program.graph.symbols()), specs_(specs) {}

  Status use(const std::map<std::string, std::string>& names);
  Status use_specs();
  void use_usual_names();

 private:
  Status fit(const InputSpec& spec, const ir::TensorType& type);
  Status fit_dim(const InputSpec& spec, size_t axis, ir::Expr size);
  Status name(size_t symbol, const std::string& wanted);
  std::optional<size_t> index_of(const std::string& name) const;
  void make_equal(size_t symbol, size_t other);

  ExportedProgram& program_;
  ir::Symbols& symbols_;
  std::span<const InputSpec> specs_;
  std::set<size_t> named_;
};

std::optional<size_t> SizeNames::index_of(const std::string& name) const {
  const auto& all = symbols_.all();
  const auto at = std::ranges::find(all, name, &ir::Symbol::name);
  return at == all.end() ? std::nullopt : std::optional(static_cast<size_t>(at - all.begin()));
}

void SizeNames::make_equal(size_t symbol, size_t other) {
  ir::substitute(program_.graph, *symbols_.find(symbols_.all()[symbol].name),
                 *symbols_.find(symbols_.all()[other].name));
}

Status SizeNames::name(size_t symbol, const std::string& wanted) {
  const std::string old = symbols_.all()[symbol].name;
  if (old == wanted) {
    named_.insert(symbol);
    return {};
  }
  if (named_.contains(symbol)) {
    return usage_error(fmt::format("one size is called {} and {}", quoted(old), quoted(wanted)),
                       "the model needs both to be equal: give them one name");
  }
  if (const auto other = index_of(wanted); other && named_.contains(*other)) {
    // People say that both are equal, which the program does not ask for.
    make_equal(symbol, *other);
    named_.insert(symbol);
    return {};
  }
  if (!symbols_.rename(symbol, wanted)) {
    return usage_error(fmt::format("{} is the name of another size already", quoted(wanted)));
  }
  const auto example = program_.examples.extract(old);
  if (!example.empty()) program_.examples.insert_or_assign(wanted, example.mapped());
  named_.insert(symbol);
  return {};
}

Status SizeNames::use(const std::map<std::string, std::string>& names) {
  const std::map<std::string, std::string> usual = usual_size_names(program_);
  const auto known_as = [&](const std::string& name) -> std::optional<size_t> {
    if (const auto symbol = index_of(name)) return symbol;
    const auto other = std::ranges::find(usual, name, [](const auto& row) { return row.second; });
    return other == usual.end() ? std::nullopt : index_of(other->first);
  };
  std::vector<std::pair<size_t, std::string>> wanted;
  for (const auto& [old, new_name] : names) {
    const auto symbol = known_as(old);
    if (symbol) {
      wanted.emplace_back(*symbol, new_name);
      continue;
    }
    std::vector<std::string> known;
    for (const ir::Symbol& one : symbols_.all()) {
      const auto other = usual.find(one.name);
      known.push_back(other == usual.end() ? one.name : other->second + " (" + one.name + ")");
    }
    return usage_error(
        "--dim: the program has no size called " + quoted(old),
        known.empty() ? "all of its sizes are fixed" : "its sizes are " + join_list(known));
  }
  for (const auto& [symbol, new_name] : wanted) MLC_CHECK(name(symbol, new_name));
  return {};
}

Status SizeNames::fit_dim(const InputSpec& spec, size_t axis, ir::Expr size) {
  const InputDim& dim = spec.dims[axis];
  const std::string where = fmt::format("dimension {} of {}", axis, quoted(spec.name));
  if (const auto fixed = symbols_.constant_value(size)) {
    if (!dim.symbol.empty()) {
      return usage_error(
          fmt::format("{} is {} in the program and cannot vary", where, *fixed),
          fmt::format("write {} there, or export it with that dimension dynamic", *fixed));
    }
    if (dim.example == *fixed) return {};
    return usage_error(fmt::format("{} is {} in the program, not {}", where, *fixed, dim.example));
  }
  const ir::Bounds allowed = symbols_.bounds(size);
  const auto in_range = [&](int64_t value) {
    return value >= allowed.low && value <= allowed.high;
  };
  const auto [low, high] = dim.bounds.value_or(std::pair(dim.example, dim.example));
  if (!in_range(low) || !in_range(high)) {
    const std::string upper =
        allowed.high == ir::kUnbounded ? "more" : std::to_string(allowed.high);
    return usage_error(fmt::format("{} may be {} to {}, not {}", where, allowed.low, upper,
                                   in_range(low) ? high : low),
                       allowed == ir::Bounds{1, ir::kUnbounded}
                           ? "a range from 0 on, as in n=0..8, says that it may be 0"
                           : "the program was exported with that range");
  }
  const auto symbol = lone_symbol(symbols_, size);
  if (dim.symbol.empty() || !symbol) return {};
  return name(*symbol, dim.symbol);
}

Status SizeNames::fit(const InputSpec& spec, const ir::TensorType& type) {
  if (!spec.file.empty() || !type.sizes) return {};
  if (type.dtype && *type.dtype != spec.dtype) {
    return usage_error(fmt::format("input {} is {} in the program, not {}", quoted(spec.name),
                                   info(*type.dtype).brief, info(spec.dtype).brief));
  }
  if (type.sizes->size() != spec.dims.size()) {
    return usage_error(fmt::format("input {} has {} in the program, not {}", quoted(spec.name),
                                   plural(type.sizes->size(), "dimension"), spec.dims.size()));
  }
  for (size_t axis = 0; axis < spec.dims.size(); ++axis) {
    MLC_CHECK(fit_dim(spec, axis, (*type.sizes)[axis]));
  }
  return {};
}

Status SizeNames::use_specs() {
  for (const InputSpec& spec : specs_) {
    const auto input = std::ranges::find(program_.inputs, spec.name, &ProgramInput::name);
    if (input == program_.inputs.end()) {
      std::vector<std::string> known;
      for (const ProgramInput& one : program_.inputs) known.push_back(one.name);
      return usage_error("the program has no input called " + quoted(spec.name),
                         "its inputs are " + join_list(known));
    }
    if (input->value == nullptr || input->value->tensor() == nullptr) continue;
    MLC_CHECK(fit(spec, *input->value->tensor()));
  }
  return {};
}

void SizeNames::use_usual_names() {
  for (const auto& [old, wanted] : usual_size_names(program_)) {
    const auto symbol = index_of(old);
    if (symbol && !named_.contains(*symbol)) (void)name(*symbol, wanted);
  }
}

}  // namespace

Status name_sizes(ExportedProgram& program, const std::map<std::string, std::string>& names,
                  std::span<const InputSpec> specs) {
  SizeNames sizes(program, specs);
  MLC_CHECK(sizes.use(names));
  MLC_CHECK(sizes.use_specs());
  sizes.use_usual_names();
  return {};
}

}  // namespace mlc
