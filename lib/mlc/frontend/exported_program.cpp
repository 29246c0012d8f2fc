#include "mlc/frontend/exported_program.h"

#include "mlc/base/text.h"
#include "mlc/frontend/json_place.h"
#include "mlc/frontend/output_names.h"
#include "mlc/frontend/sympy_text.h"
#include "mlc/tensor/dtype.h"

#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

using ir::Attribute;
using ir::Block;
using ir::Bounds;
using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::ScalarKind;
using ir::ScalarType;
using ir::TensorType;
using ir::Type;
using ir::Value;
using ir::ValueKind;

constexpr int64_t kMajor = 8;
constexpr int kMaxGraphDepth = 16;
constexpr int kMaxJsonDepth = 100;

// schema.Layout and schema.MemoryFormat, by number.
constexpr std::array<std::string_view, 8> kLayouts = {
    "", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "strided"};
constexpr std::array<std::string_view, 5> kFormats = {"", "contiguous_format", "channels_last",
                                                      "channels_last_3d", "preserve_format"};

/// The values of one graph of the file by their names, which are its own.
struct Scope {
  JsonPlace graph;
  Block* block = nullptr;
  std::map<std::string, Value*, std::less<>> values;
};

/// Subgraphs among the arguments of a node, which become its blocks.
using Graphs = std::vector<JsonPlace>;

class ProgramReader {
 public:
  explicit ProgramReader(const JsonPlace& root) : root_(root) {}

  Result<ExportedProgram> run();

 private:
  Status check_version() const;
  Status read_ranges();
  Status read_guards();
  Status read_inputs(Scope& scope);
  Status read_input(Scope& scope, const JsonPlace& argument, const JsonPlace& spec);
  Status read_weight(Scope& scope, const JsonPlace& argument, const JsonPlace& about,
                     ValueKind kind, const char* key_field);
  Status read_user_input(Scope& scope, const JsonPlace& argument);
  Status read_nodes(Scope& scope);
  Status read_node(Scope& scope, const JsonPlace& node);
  Result<std::vector<ir::Argument>> read_arguments(Scope& scope, const JsonPlace& node,
                                                   Graphs& graphs);
  Status read_blocks(Node* node, const Graphs& graphs);
  Status read_block_input(Scope& scope, const JsonPlace& argument);
  Result<std::vector<ir::Output>> read_outputs(Scope& scope, const JsonPlace& node,
                                               std::vector<std::string>& names);
  Status read_results(Scope& scope);
  Status read_output_specs(Scope& scope);
  Status read_mutation(Scope& scope, const JsonPlace& about, const char* field, size_t result);

  Result<Attribute> attribute(Scope& scope, const JsonPlace& argument, Graphs* graphs);
  Result<Attribute> list_attribute(Scope& scope, const std::string& kind, const JsonPlace& items);
  Result<Attribute> symbolic(Scope& scope, const JsonPlace& value, bool integer);
  Result<Value*> named(Scope& scope, const JsonPlace& holder, const char* field = "name");
  Result<Value*> optional_tensor(Scope& scope, const JsonPlace& item);
  Result<Attribute> device(const JsonPlace& value) const;

  Result<TensorType> tensor_type(const Scope& scope, const std::string& name);
  Result<Type> integer_type(const Scope& scope, const std::string& name);
  Result<std::optional<Expr>> size(const JsonPlace& value);
  Result<Expr> symbol(std::string_view name);
  Result<std::vector<int64_t>> plain_sizes(const JsonPlace& list);
  ir::Origin origin_of(const JsonPlace& node) const;

  JsonPlace root_;
  ExportedProgram out_;
  std::map<std::string, Bounds, std::less<>> ranges_;
  std::map<std::string, Value*, std::less<>> weights_by_key_;
  int depth_ = 0;
};

Status ProgramReader::check_version() const {
  MLC_TRY(const JsonPlace version, root_.at("schema_version"));
  MLC_TRY(const JsonPlace major, version.at("major"));
  MLC_TRY(const int64_t number, major.integer());
  if (number == kMajor) return {};
  return unsupported(fmt::format("the program has schema version {}, mlc reads {}", number, kMajor),
                     "export it again with PyTorch 2.6 or newer" +
                         std::string(number > kMajor ? ", or use a newer mlc" : ""));
}

Status ProgramReader::read_guards() {
  constexpr size_t kMost = 10'000;
  const auto codes = root_.value().find("guards_code");
  if (codes == root_.value().end() || !codes->is_array()) return {};
  for (const auto& code : *codes) {
    if (code.is_string() && out_.guards.size() < kMost) out_.guards.push_back(code);
  }
  return {};
}

// {"s77": {"min_val": 1, "max_val": 64}}
Status ProgramReader::read_ranges() {
  if (!root_.has("range_constraints")) return {};
  MLC_TRY(const JsonPlace all, root_.at("range_constraints"));
  if (!all.value().is_object()) return all.wrong("object");
  for (const auto& [key, value] : all.value().items()) {
    const JsonPlace range(value, all.place() + "." + key);
    Bounds bounds;
    if (range.has("min_val")) {
      MLC_TRY(const JsonPlace low, range.at("min_val"));
      if (low.value().is_number_integer()) bounds.low = low.value().get<int64_t>();
    }
    if (range.has("max_val")) {
      MLC_TRY(const JsonPlace high, range.at("max_val"));
      if (high.value().is_number_integer()) bounds.high = high.value().get<int64_t>();
    }
    if (bounds.low > bounds.high || bounds.low < -ir::kUnbounded) {
      return corrupt(printable(range.place()) + " leaves no size");
    }
    ranges_[key] = bounds;
  }
  return {};
}

Result<Expr> ProgramReader::symbol(std::string_view name) {
  ir::Symbols& symbols = out_.graph.symbols();
  if (const auto known = symbols.find(name)) return *known;
  if (!ir::is_symbol_name(name)) return corrupt(quoted(name, 60) + " is no name of a size");
  Bounds bounds;
  if (name[0] != 'u') bounds.low = 0;  // u0 and the like may be any integer
  const auto range = ranges_.find(name);
  if (range != ranges_.end()) bounds = range->second;
  return symbols.symbol(std::string(name), bounds);
}

// {"as_int": 3} or {"as_expr": {"expr_str": "Symbol('s77', ...)", "hint": {"as_int": 2}}}
Result<std::optional<Expr>> ProgramReader::size(const JsonPlace& value) {
  MLC_TRY(const auto member, value.only());
  const auto& [kind, held] = member;
  if (kind == "as_int") {
    MLC_TRY(const int64_t number, held.integer());
    return std::optional(out_.graph.symbols().constant(number));
  }
  if (kind != "as_expr") return value.wrong("size");
  MLC_TRY(const JsonPlace text, held.at("expr_str"));
  MLC_TRY(const std::string expression, text.string());
  auto parsed = parse_sympy(expression, out_.graph.symbols(),
                            [this](std::string_view name) { return symbol(name); });
  if (!parsed.ok()) return std::move(parsed).error().during(printable(text.place()));
  if (*parsed && held.has("hint")) {
    MLC_TRY(const JsonPlace hint, held.at("hint"));
    const std::string name = out_.graph.symbols().text(**parsed);
    if (hint.has("as_int") && ir::is_symbol_name(name)) {
      MLC_TRY(const JsonPlace number, hint.at("as_int"));
      MLC_TRY(out_.examples[name], number.integer());
    }
  }
  return *parsed;
}

Result<TensorType> ProgramReader::tensor_type(const Scope& scope, const std::string& name) {
  MLC_TRY(const JsonPlace all, scope.graph.at("tensor_values"));
  MLC_TRY(const JsonPlace meta, all.at(name.c_str()));
  MLC_TRY(const JsonPlace code, meta.at("dtype"));
  MLC_TRY(const int64_t number, code.integer());
  TensorType out;
  out.dtype = dtype_from_pt2(number);
  if (!out.dtype) {
    return unsupported(
        fmt::format("{}: the type number {} is unknown", printable(meta.place()), number));
  }
  MLC_TRY(const JsonPlace list, meta.at("sizes"));
  MLC_TRY(const size_t rank, list.size());
  out.sizes.emplace();
  for (size_t i = 0; i < rank; ++i) {
    MLC_TRY(const JsonPlace item, list.at(i));
    MLC_TRY(const auto one, size(item));
    if (one && out_.graph.symbols().bounds(*one).high < 0)
      return item.wrong("size: it is negative");
    out.sizes->push_back(one ? *one : out_.graph.symbols().fresh("size", {0, ir::kUnbounded}));
  }
  return out;
}

Result<Type> ProgramReader::integer_type(const Scope& scope, const std::string& name) {
  ScalarType out{ScalarKind::integer, std::nullopt};
  if (scope.graph.has("sym_int_values")) {
    MLC_TRY(const JsonPlace all, scope.graph.at("sym_int_values"));
    if (all.has(name.c_str())) {
      MLC_TRY(const JsonPlace value, all.at(name.c_str()));
      MLC_TRY(out.value, size(value));
    }
  }
  if (!out.value) out.value = out_.graph.symbols().fresh("value", {});
  return Type(out);
}

Result<Value*> ProgramReader::named(Scope& scope, const JsonPlace& holder, const char* field) {
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
Result<Value*> ProgramReader::optional_tensor(Scope& scope, const JsonPlace& item) {
  MLC_TRY(const auto member, item.only());
  if (member.first == "as_none") return static_cast<Value*>(nullptr);
  if (member.first != "as_tensor") return item.wrong("tensor or none");
  return named(scope, member.second);
}

// {"as_name": "sym_size"}, {"as_int": 3}, {"as_bool": true}, {"as_float": 0.5}. An integer is its
// expression, whatever gives it.
Result<Attribute> ProgramReader::symbolic(Scope& scope, const JsonPlace& value, bool integer) {
  MLC_TRY(const auto member, value.only());
  const auto& [kind, held] = member;
  if (kind != "as_name") return attribute(scope, value, nullptr);
  MLC_TRY(Value* const one, named(scope, value, "as_name"));
  const auto* scalar = std::get_if<ScalarType>(&one->type());
  if (!integer) return Attribute(one);
  if (scalar == nullptr || !scalar->value) return value.wrong("integer");
  return Attribute(*scalar->value);
}

Result<Attribute> ProgramReader::device(const JsonPlace& value) const {
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

Result<Attribute> ProgramReader::list_attribute(Scope& scope, const std::string& kind,
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
      return out_.graph.symbols().constant(number);
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

Result<Attribute> ProgramReader::attribute(Scope& scope, const JsonPlace& argument,
                                           Graphs* graphs) {
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
    return Attribute(out_.graph.symbols().constant(number));
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

Result<std::vector<ir::Argument>> ProgramReader::read_arguments(Scope& scope, const JsonPlace& node,
                                                                Graphs& graphs) {
  MLC_TRY(const JsonPlace inputs, node.at("inputs"));
  MLC_TRY(const size_t count, inputs.size());
  std::vector<ir::Argument> out;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace input, inputs.at(i));
    MLC_TRY(const JsonPlace name_place, input.at("name"));
    MLC_TRY(std::string name, name_place.string());
    MLC_TRY(const JsonPlace argument, input.at("arg"));
    const size_t graphs_before = graphs.size();
    MLC_TRY(Attribute value, attribute(scope, argument, &graphs));
    if (graphs.size() != graphs_before) continue;  // it becomes a block
    if (name.empty()) name = std::to_string(i);
    out.push_back({std::move(name), std::move(value)});
  }
  return out;
}

// NAMES: what the file calls each of them; empty for those that it leaves out.
Result<std::vector<ir::Output>> ProgramReader::read_outputs(Scope& scope, const JsonPlace& node,
                                                            std::vector<std::string>& names) {
  MLC_TRY(const JsonPlace outputs, node.at("outputs"));
  MLC_TRY(const size_t count, outputs.size());
  std::vector<ir::Output> out;
  const auto add = [&](std::string name, Type type) {
    out.emplace_back(std::move(type), name);
    names.push_back(std::move(name));
  };
  const auto add_tensor = [&](const JsonPlace& holder) -> Status {
    MLC_TRY(const JsonPlace place, holder.at("name"));
    MLC_TRY(const std::string name, place.string());
    MLC_TRY(TensorType type, tensor_type(scope, name));
    add(name, std::move(type));
    return {};
  };
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace output, outputs.at(i));
    MLC_TRY(const auto member, output.only());
    const auto& [kind, value] = member;
    if (kind == "as_tensor") {
      MLC_CHECK(add_tensor(value));
    } else if (kind == "as_tensors") {
      MLC_TRY(const size_t items, value.size());
      for (size_t item = 0; item < items; ++item) {
        MLC_TRY(const JsonPlace one, value.at(item));
        MLC_CHECK(add_tensor(one));
      }
    } else if (kind == "as_sym_int" || kind == "as_sym_bool" || kind == "as_sym_float") {
      MLC_TRY(const JsonPlace place, value.at("as_name"));
      MLC_TRY(const std::string name, place.string());
      if (kind == "as_sym_int") {
        MLC_TRY(Type type, integer_type(scope, name));
        add(name, std::move(type));
      } else {
        const bool truth = kind == "as_sym_bool";
        add(name, ScalarType{truth ? ScalarKind::boolean : ScalarKind::number, std::nullopt});
      }
    } else if (kind == "as_none") {
      add("", TensorType{});
    } else {
      return unsupported(printable(value.place()) +
                         " is an output of a kind that mlc does not know");
    }
  }
  return out;
}

// "L__self__,,net.M;L__s___l,L['self'].fc,torch.nn.modules.linear.Linear" and the last line of the
// stack: both say where a node comes from, and neither has to be there.
ir::Origin ProgramReader::origin_of(const JsonPlace& node) const {
  ir::Origin out;
  const auto metadata = node.value().find("metadata");
  if (metadata == node.value().end() || !metadata->is_object()) return out;
  const auto text = [&](const char* key) -> std::string {
    const auto found = metadata->find(key);
    return found != metadata->end() && found->is_string() ? found->get<std::string>() : "";
  };
  const std::string modules = text("nn_module_stack");
  const std::string last = modules.substr(modules.rfind(';') + 1);
  const size_t from = last.find(',');
  if (from != std::string::npos) {
    out.scope = last.substr(from + 1, last.find(',', from + 1) - from - 1);
    for (const std::string_view root : {"L['self'].", "L['self']"}) {
      if (out.scope.starts_with(root)) out.scope.erase(0, root.size());
    }
  }
  const std::string stack = text("stack_trace");
  const size_t file = stack.rfind("File \"");
  const size_t end = file == std::string::npos ? file : stack.find('"', file + 6);
  const size_t line = end == std::string::npos ? end : stack.find("line ", end);
  if (line != std::string::npos) {
    const std::string path = stack.substr(file + 6, end - file - 6);
    const size_t digits = stack.find_first_not_of("0123456789", line + 5);
    out.text = path.substr(path.rfind('/') + 1) + ":" + stack.substr(line + 5, digits - line - 5);
  }
  return out;
}

Status ProgramReader::read_node(Scope& scope, const JsonPlace& node) {
  MLC_TRY(const JsonPlace target, node.at("target"));
  MLC_TRY(const std::string text, target.string());
  const auto op = ir::op_name(text);
  if (!op) {
    return unsupported(
        "the program calls " + quoted(text, 80) + ", which is no operator",
        "torch.export.save(program.run_decompositions(), FILE) takes such calls out");
  }
  Graphs graphs;
  MLC_TRY(std::vector<ir::Argument> arguments, read_arguments(scope, node, graphs));
  std::vector<std::string> names;
  MLC_TRY(std::vector<ir::Output> outputs, read_outputs(scope, node, names));
  Node* made = out_.graph.append(*scope.block, *op, std::move(arguments), std::move(outputs),
                                 origin_of(node));
  MLC_CHECK(read_blocks(made, graphs));
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    if (!scope.values.emplace(names[i], made->output(i)).second) {
      return corrupt(printable(node.place()) + " gives " + quoted(names[i], 80) +
                     ", which is there already");
    }
  }
  return {};
}

Status ProgramReader::read_nodes(Scope& scope) {
  MLC_TRY(const JsonPlace nodes, scope.graph.at("nodes"));
  MLC_TRY(const size_t count, nodes.size());
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace node, nodes.at(i));
    MLC_CHECK(read_node(scope, node));
  }
  return {};
}

Status ProgramReader::read_block_input(Scope& scope, const JsonPlace& argument) {
  MLC_TRY(const auto member, argument.only());
  const auto& [kind, value] = member;
  const bool is_tensor = kind == "as_tensor";
  if (!is_tensor && kind != "as_sym_int") {
    return unsupported(printable(value.place()) + " is an input of a kind that mlc does not know");
  }
  MLC_TRY(const JsonPlace place, value.at(is_tensor ? "name" : "as_name"));
  MLC_TRY(const std::string name, place.string());
  Type type;
  if (is_tensor) {
    MLC_TRY(type, tensor_type(scope, name));
  } else {
    MLC_TRY(type, integer_type(scope, name));
  }
  Value* input = out_.graph.add_block_input(*scope.block, name, std::move(type));
  if (!scope.values.emplace(name, input).second) {
    return corrupt(printable(place.place()) + " is there already");
  }
  return {};
}

Status ProgramReader::read_blocks(Node* node, const Graphs& graphs) {
  if (!graphs.empty() && ++depth_ > kMaxGraphDepth) {
    return corrupt("the program has graphs nested deeper than " + std::to_string(kMaxGraphDepth));
  }
  for (const JsonPlace& graph : graphs) {
    Scope scope{graph, &out_.graph.add_block(node), {}};
    MLC_TRY(const JsonPlace inputs, graph.at("inputs"));
    MLC_TRY(const size_t count, inputs.size());
    for (size_t i = 0; i < count; ++i) {
      MLC_TRY(const JsonPlace input, inputs.at(i));
      MLC_CHECK(read_block_input(scope, input));
    }
    MLC_CHECK(read_nodes(scope));
    MLC_CHECK(read_results(scope));
  }
  if (!graphs.empty()) --depth_;
  return {};
}

Status ProgramReader::read_results(Scope& scope) {
  MLC_TRY(const JsonPlace outputs, scope.graph.at("outputs"));
  MLC_TRY(const size_t count, outputs.size());
  std::vector<ir::Argument> results;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace output, outputs.at(i));
    MLC_TRY(Attribute value, attribute(scope, output, nullptr));
    results.push_back({std::to_string(i), std::move(value)});
  }
  out_.graph.set_results(*scope.block, std::move(results));
  return {};
}

Result<std::vector<int64_t>> ProgramReader::plain_sizes(const JsonPlace& list) {
  MLC_TRY(const size_t count, list.size());
  std::vector<int64_t> out;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace item, list.at(i));
    MLC_TRY(const auto one, size(item));
    const auto number = one ? out_.graph.symbols().constant_value(*one) : std::nullopt;
    if (!number) return item.wrong("number, which weights must have");
    out.push_back(*number);
  }
  return out;
}

Status ProgramReader::read_weight(Scope& scope, const JsonPlace& argument, const JsonPlace& about,
                                  ValueKind kind, const char* key_field) {
  MLC_TRY(const auto member, argument.only());
  if (member.first != "as_tensor") {
    return unsupported(printable(argument.place()) + " is a constant that is no tensor",
                       "programs with script objects cannot run without the code behind them");
  }
  MLC_TRY(const JsonPlace name_place, member.second.at("name"));
  MLC_TRY(const std::string name, name_place.string());
  MLC_TRY(const JsonPlace key_place, about.at(key_field));
  MLC_TRY(const std::string key, key_place.string());
  MLC_TRY(TensorType type, tensor_type(scope, name));
  MLC_TRY(const JsonPlace all, scope.graph.at("tensor_values"));
  MLC_TRY(const JsonPlace meta, all.at(name.c_str()));
  ProgramWeight weight;
  weight.key = key;
  if (meta.has("strides")) {
    MLC_TRY(const JsonPlace strides, meta.at("strides"));
    MLC_TRY(weight.strides, plain_sizes(strides));
  }
  if (about.has("persistent")) {
    MLC_TRY(const JsonPlace persistent, about.at("persistent"));
    MLC_TRY(weight.persistent, persistent.boolean());
  }
  weight.value = out_.graph.add_weight(kind, name, std::move(type));
  if (!scope.values.emplace(name, weight.value).second) {
    return corrupt(printable(name_place.place()) + " is there already");
  }
  weights_by_key_.emplace(key, weight.value);
  out_.weights.push_back(std::move(weight));
  return {};
}

Status ProgramReader::read_user_input(Scope& scope, const JsonPlace& argument) {
  MLC_TRY(const auto member, argument.only());
  const auto& [kind, value] = member;
  ProgramInput input;
  const bool is_tensor = kind == "as_tensor";
  if (is_tensor || kind == "as_sym_int") {
    MLC_TRY(const JsonPlace place, value.at(is_tensor ? "name" : "as_name"));
    MLC_TRY(input.name, place.string());
    Type type;
    if (is_tensor) {
      MLC_TRY(type, tensor_type(scope, input.name));
    } else {
      MLC_TRY(type, integer_type(scope, input.name));
    }
    input.value = out_.graph.add_input(input.name, std::move(type));
    if (!scope.values.emplace(input.name, input.value).second) {
      return corrupt(printable(place.place()) + " is there already");
    }
  } else {
    input.name = "argument " + std::to_string(out_.inputs.size());
    input.fixed = kind == "as_none" ? "None" : printable(value.value().dump());
  }
  out_.inputs.push_back(std::move(input));
  return {};
}

Status ProgramReader::read_input(Scope& scope, const JsonPlace& argument, const JsonPlace& spec) {
  struct Row {
    const char* kind;
    ValueKind value;
    const char* key;
  };
  static constexpr Row kRows[] = {
      {"parameter", ValueKind::parameter, "parameter_name"},
      {"buffer", ValueKind::buffer, "buffer_name"},
      {"tensor_constant", ValueKind::constant, "tensor_constant_name"},
  };
  MLC_TRY(const auto member, spec.only());
  const auto& [kind, about] = member;
  for (const Row& row : kRows) {
    if (kind == row.kind) return read_weight(scope, argument, about, row.value, row.key);
  }
  if (kind == "user_input") return read_user_input(scope, argument);
  if (kind == "constant_input") {
    ProgramInput input;
    MLC_TRY(const JsonPlace name, about.at("name"));
    MLC_TRY(input.name, name.string());
    MLC_TRY(const JsonPlace value, about.at("value"));
    MLC_TRY(const auto held, value.only());
    input.fixed = held.first == "as_none" ? "None" : printable(held.second.value().dump());
    out_.inputs.push_back(std::move(input));
    return {};
  }
  return unsupported("the program takes a " + quoted(kind, 40),
                     "programs with script objects or side effects cannot run without the code "
                     "behind them");
}

Status ProgramReader::read_inputs(Scope& scope) {
  MLC_TRY(const JsonPlace module, root_.at("graph_module"));
  MLC_TRY(const JsonPlace signature, module.at("signature"));
  MLC_TRY(const JsonPlace specs, signature.at("input_specs"));
  MLC_TRY(const JsonPlace inputs, scope.graph.at("inputs"));
  MLC_TRY(const size_t count, inputs.size());
  MLC_TRY(const size_t described, specs.size());
  if (count != described) {
    return corrupt(
        fmt::format("the graph has {} and its signature {}", plural(count, "input"), described));
  }
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace argument, inputs.at(i));
    MLC_TRY(const JsonPlace spec, specs.at(i));
    MLC_CHECK(read_input(scope, argument, spec));
  }
  return {};
}

Status ProgramReader::read_mutation(Scope& scope, const JsonPlace& about, const char* field,
                                    size_t result) {
  MLC_TRY(const JsonPlace place, about.at(field));
  MLC_TRY(const std::string name, place.string());
  const bool of_input = std::string_view(field) == "user_input_name";
  const auto& where = of_input ? scope.values : weights_by_key_;
  const auto found = where.find(name);
  if (found == where.end()) {
    return corrupt(printable(place.place()) + ": there is no " + quoted(name, 80));
  }
  out_.mutations.push_back({result, found->second});
  return {};
}

Status ProgramReader::read_output_specs(Scope& scope) {
  MLC_TRY(const JsonPlace module, root_.at("graph_module"));
  MLC_TRY(const JsonPlace signature, module.at("signature"));
  MLC_TRY(const JsonPlace specs, signature.at("output_specs"));
  MLC_TRY(const size_t count, specs.size());
  if (count != scope.block->results()->arguments().size()) {
    return corrupt("the graph and its signature have different numbers of outputs");
  }
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace spec, specs.at(i));
    MLC_TRY(const auto member, spec.only());
    const auto& [kind, about] = member;
    if (kind == "user_output" || kind == "loss_output") {
      out_.outputs.push_back({"", i});
    } else if (kind == "buffer_mutation") {
      MLC_CHECK(read_mutation(scope, about, "buffer_name", i));
    } else if (kind == "parameter_mutation") {
      MLC_CHECK(read_mutation(scope, about, "parameter_name", i));
    } else if (kind == "user_input_mutation") {
      MLC_CHECK(read_mutation(scope, about, "user_input_name", i));
    } else {
      return unsupported("the program gives a " + quoted(kind, 40) + ", which mlc does not know");
    }
  }
  const std::vector<std::string> names = output_names(module, out_.outputs.size());
  for (size_t i = 0; i < names.size(); ++i) out_.outputs[i].name = names[i];
  return {};
}

Result<ExportedProgram> ProgramReader::run() {
  MLC_CHECK(check_version());
  MLC_CHECK(read_ranges());
  MLC_CHECK(read_guards());
  MLC_TRY(const JsonPlace module, root_.at("graph_module"));
  MLC_TRY(const JsonPlace graph, module.at("graph"));
  Scope scope{graph, &out_.graph.body(), {}};
  MLC_CHECK(read_inputs(scope));
  MLC_CHECK(read_nodes(scope));
  MLC_CHECK(read_results(scope));
  MLC_CHECK(read_output_specs(scope));
  MLC_CHECK(ir::verify(out_.graph));
  return std::move(out_);
}

}  // namespace

Result<ExportedProgram> read_exported_program(std::string_view json, const std::string& record) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    return !too_deep;
  };
  const nlohmann::json document =
      nlohmann::json::parse(json.begin(), json.end(), watch, /*allow_exceptions=*/false);
  if (too_deep) return corrupt("it is nested too deep").during(record);
  if (document.is_discarded()) return corrupt("it is no JSON").during(record);
  auto out = ProgramReader(JsonPlace(document, "")).run();
  if (out.ok()) return out;
  // What the verifier of graphs finds is the file's doing here.
  if (out.error().kind() == ErrorKind::internal) return corrupt(out.error().text()).during(record);
  return std::move(out).error().during(record);
}

}  // namespace mlc
