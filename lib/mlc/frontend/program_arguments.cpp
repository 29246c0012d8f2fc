#include "mlc/frontend/program_arguments.h"

#include "mlc/base/text.h"
#include "mlc/tensor/dtype.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace mlc {

using ir::Attribute;
using ir::Expr;
using ir::ScalarType;
using ir::Value;

namespace {

// schema.Layout and schema.MemoryFormat, by number.
constexpr std::array<std::string_view, 8> kLayouts = {
    "", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "strided"};
constexpr std::array<std::string_view, 5> kFormats = {"", "contiguous_format", "channels_last",
                                                      "channels_last_3d", "preserve_format"};

Result<Value*> named(ProgramScope& scope, const JsonPlace& holder, const char* field = "name") {
  MLC_TRY(const JsonPlace place, holder.at(field));
  MLC_TRY(const std::string name, place.string());
  const auto found = scope.values.find(name);
  if (found == scope.values.end()) {
    return corrupt(
        fmt::format("{}: there is no value {}", printable(place.place()), quoted(name, 80)));
  }
  return found->second;
}

// {"as_tensor": {"name": "x"}} or {"as_none": true}
Result<Value*> optional_tensor(ProgramScope& scope, const JsonPlace& item) {
  MLC_TRY(const auto member, item.only());
  if (member.first == "as_none") return static_cast<Value*>(nullptr);
  if (member.first != "as_tensor") return item.wrong("tensor or none");
  return named(scope, member.second);
}

Result<Attribute> device(const JsonPlace& value) {
  MLC_TRY(const JsonPlace type, value.at("type"));
  MLC_TRY(std::string name, type.string());
  if (value.has("index")) {
    MLC_TRY(const JsonPlace index, value.at("index"));
    MLC_TRY(const int64_t number, index.integer());
    name += ":" + std::to_string(number);
  }
  return Attribute(ir::Device{std::move(name)});
}

template <class T, class Read>
Result<Attribute> read_list(const JsonPlace& items, Read read) {
  MLC_TRY(const size_t count, items.size());
  std::vector<T> out;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace item, items.at(i));
    MLC_TRY(T one, read(item));
    out.push_back(std::move(one));
  }
  return Attribute(std::move(out));
}

/// The row of a schema's enumeration.
template <size_t N>
Result<std::string> word_of(const std::array<std::string_view, N>& words, const JsonPlace& value) {
  MLC_TRY(const int64_t number, value.integer());
  const bool known = number > 0 && static_cast<uint64_t>(number) < N;
  if (!known) return value.wrong("number of a layout or memory format that mlc knows");
  return std::string(words[static_cast<size_t>(number)]);
}

/// Whether ARGUMENT is a tensor of 64-bit floats, or of pairs of them.
bool is_of_doubles(const ir::Argument& argument) {
  auto* const* value = std::get_if<Value*>(&argument.value);
  const ir::TensorType* type = value == nullptr ? nullptr : (*value)->tensor();
  return type != nullptr && (type->dtype == DType::f64 || type->dtype == DType::c128);
}

}  // namespace

// {"as_name": "sym_size"}, {"as_int": 3}, {"as_bool": true}, {"as_float": 0.5}. An integer is its
// expression, whatever gives it.
Result<Attribute> ProgramArguments::symbolic(ProgramScope& scope, const JsonPlace& value,
                                             bool integer) {
  MLC_TRY(const auto member, value.only());
  const auto& [kind, held] = member;
  if (kind != "as_name") return attribute(scope, value, nullptr);
  MLC_TRY(Value* const one, named(scope, value, "as_name"));
  const auto* scalar = std::get_if<ScalarType>(&one->type());
  if (!integer) return Attribute(one);
  if (scalar == nullptr || !scalar->value) return value.wrong("integer");
  return Attribute(*scalar->value);
}

Result<Attribute> ProgramArguments::list_attribute(ProgramScope& scope, const std::string& kind,
                                                   const JsonPlace& items) {
  if (kind == "as_tensors") {
    return read_list<Value*>(items, [&](const JsonPlace& item) { return named(scope, item); });
  }
  if (kind == "as_optional_tensors") {
    return read_list<Value*>(items,
                             [&](const JsonPlace& item) { return optional_tensor(scope, item); });
  }
  if (kind == "as_ints") {
    return read_list<Expr>(items, [&](const JsonPlace& item) -> Result<Expr> {
      MLC_TRY(const int64_t number, item.integer());
      return symbols_.constant(number);
    });
  }
  if (kind == "as_sym_ints") {
    return read_list<Expr>(items, [&](const JsonPlace& item) -> Result<Expr> {
      MLC_TRY(const Attribute one, symbolic(scope, item, true));
      const auto* expression = std::get_if<Expr>(&one);
      if (expression == nullptr) return item.wrong("integer");
      return *expression;
    });
  }
  if (kind == "as_floats") {
    return read_list<double>(items, [](const JsonPlace& item) { return item.number(); });
  }
  if (kind == "as_bools") {
    return read_list<bool>(items, [](const JsonPlace& item) { return item.boolean(); });
  }
  if (kind == "as_strings") {
    return read_list<std::string>(items, [](const JsonPlace& item) { return item.string(); });
  }
  if (kind == "as_complex") {
    return unsupported(printable(items.place()) +
                           " is a complex number among the arguments of an "
                           "operator, which mlc cannot hold",
                       "a complex tensor will do: register_buffer(name, torch.tensor(1j))");
  }
  return unsupported(printable(items.place()) + " is an argument of a kind that mlc does not know");
}

Result<Attribute> ProgramArguments::attribute(ProgramScope& scope, const JsonPlace& argument,
                                              ProgramGraphs* graphs) {
  MLC_TRY(const auto member, argument.only());
  const auto& [kind, value] = member;
  if (kind == "as_none") return Attribute(ir::None{});
  if (kind == "as_tensor") {
    MLC_TRY(Value* const one, named(scope, value));
    return Attribute(one);
  }
  if (kind == "as_optional_tensor") {
    MLC_TRY(Value* const one, optional_tensor(scope, value));
    return one == nullptr ? Attribute(ir::None{}) : Attribute(one);
  }
  if (kind == "as_int") {
    MLC_TRY(const int64_t number, value.integer());
    return Attribute(symbols_.constant(number));
  }
  if (kind == "as_sym_int") return symbolic(scope, value, true);
  if (kind == "as_sym_bool" || kind == "as_sym_float") return symbolic(scope, value, false);
  if (kind == "as_float") {
    MLC_TRY(const double number, value.number());
    return Attribute(number);
  }
  if (kind == "as_bool") {
    MLC_TRY(const bool truth, value.boolean());
    return Attribute(truth);
  }
  if (kind == "as_string") {
    MLC_TRY(std::string text, value.string());
    return Attribute(std::move(text));
  }
  if (kind == "as_scalar_type") {
    MLC_TRY(const int64_t code, value.integer());
    const auto dtype = dtype_from_pt2(code);
    if (!dtype) return value.wrong("number of a type that mlc knows");
    return Attribute(*dtype);
  }
  if (kind == "as_device") return device(value);
  if (kind == "as_layout") {
    MLC_TRY(std::string name, word_of(kLayouts, value));
    return Attribute(ir::Layout{std::move(name)});
  }
  if (kind == "as_memory_format") {
    MLC_TRY(std::string name, word_of(kFormats, value));
    return Attribute(ir::MemoryFormat{std::move(name)});
  }
  if (kind == "as_graph" && graphs != nullptr) {
    MLC_TRY(const JsonPlace graph, value.at("graph"));
    graphs->push_back(graph);
    return Attribute(ir::None{});
  }
  return list_attribute(scope, kind, value);
}

/// Without sizes, so that DOUBLES, the precision of what stands beside it, changes no dtype: as
/// PyTorch has it of numbers.
Value* ProgramArguments::complex_tensor(ir::Block& block, const Complex& number, bool doubles) {
  const auto append = [&](std::string name, std::vector<ir::Argument> arguments, DType dtype) {
    return graph_
        .append(block, ir::OpName{"aten", std::move(name), ""}, std::move(arguments),
                {ir::Output(ir::TensorType{dtype, std::vector<Expr>()})})
        ->output(0);
  };
  const DType part = doubles ? DType::f64 : DType::f32;
  Value* const real = append("scalar_tensor", {{"s", number.real}, {"dtype", part}}, part);
  Value* const imag = append("scalar_tensor", {{"s", number.imag}, {"dtype", part}}, part);
  return append("complex", {{"real", real}, {"imag", imag}}, doubles ? DType::c128 : DType::c64);
}

Result<std::vector<ir::Argument>> ProgramArguments::read(ProgramScope& scope, const JsonPlace& node,
                                                         ProgramGraphs& graphs) {
  MLC_TRY(const JsonPlace inputs, node.at("inputs"));
  MLC_TRY(const size_t count, inputs.size());
  MLC_TRY(const JsonPlace target, node.at("target"));
  MLC_TRY(const std::string op, target.string());
  const bool takes_tensors = op.ends_with(".Tensor") || op.ends_with(".Scalar");
  std::vector<ir::Argument> out;
  std::vector<Complex> complex;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace input, inputs.at(i));
    MLC_TRY(const JsonPlace name_place, input.at("name"));
    MLC_TRY(std::string name, name_place.string());
    MLC_TRY(const JsonPlace argument, input.at("arg"));
    MLC_TRY(const auto member, argument.only());
    if (takes_tensors && name == "other" && member.first == "as_complex") {
      MLC_TRY(const JsonPlace real, member.second.at("real"));
      MLC_TRY(const JsonPlace imag, member.second.at("imag"));
      Complex& number = complex.emplace_back();
      number.argument = out.size();
      MLC_TRY(number.real, real.number());
      MLC_TRY(number.imag, imag.number());
      out.push_back({std::move(name), ir::None{}});
      continue;
    }
    const size_t graphs_before = graphs.size();
    MLC_TRY(Attribute value, attribute(scope, argument, &graphs));
    if (graphs.size() != graphs_before) continue;  // it becomes a block
    if (name.empty()) name = std::to_string(i);
    out.push_back({std::move(name), std::move(value)});
  }
  const bool doubles = std::ranges::any_of(out, is_of_doubles);
  for (const Complex& number : complex)
    out[number.argument].value = complex_tensor(*scope.block, number, doubles);
  return out;
}

}  // namespace mlc
