#include "mlc/frontend/exported_program.h"

#include "mlc/base/text.h"
#include "mlc/frontend/guarded_sizes.h"
#include "mlc/frontend/json_place.h"
#include "mlc/frontend/output_names.h"
#include "mlc/frontend/program_arguments.h"
#include "mlc/frontend/program_sizes.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

using ir::Attribute;
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

// "L__self__,,net.M;L__s___l,L['self'].fc,torch.nn.modules.linear.Linear" and the last line of the
// stack: both say where a node comes from, and neither has to be there.
ir::Origin origin_of(const JsonPlace& node) {
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

class ProgramReader {
 public:
  explicit ProgramReader(const JsonPlace& root) : root_(root) {}

  Result<ExportedProgram> run();

 private:
  Status check_version() const;
  Result<GuardedSizes> guarded() const;
  Status read_guards();
  Status read_inputs(ProgramScope& scope);
  Status read_input(ProgramScope& scope, const JsonPlace& argument, const JsonPlace& spec);
  Status read_weight(ProgramScope& scope, const JsonPlace& argument, const JsonPlace& about,
                     ValueKind kind, const char* key_field);
  Status read_user_input(ProgramScope& scope, const JsonPlace& argument);
  Status read_nodes(ProgramScope& scope);
  Status read_node(ProgramScope& scope, const JsonPlace& node);
  Status read_blocks(Node* node, const ProgramGraphs& graphs);
  Status read_block_input(ProgramScope& scope, const JsonPlace& argument);
  Result<std::vector<ir::Output>> read_outputs(ProgramScope& scope, const JsonPlace& node,
                                               std::vector<std::string>& names);
  Status read_results(ProgramScope& scope);
  Status read_output_specs(ProgramScope& scope);
  Status read_mutation(ProgramScope& scope, const JsonPlace& about, const char* field,
                       size_t result);

  JsonPlace root_;
  ExportedProgram out_;
  ProgramSizes sizes_{out_.graph.symbols()};
  ProgramArguments arguments_{out_.graph};
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

/// What the guards say of the sizes of the inputs, which are read for that alone.
Result<GuardedSizes> ProgramReader::guarded() const {
  ProgramReader reader(root_);
  MLC_CHECK(reader.sizes_.read_ranges(root_));
  MLC_CHECK(reader.read_guards());
  if (reader.out_.guards.empty()) return GuardedSizes();
  MLC_TRY(const JsonPlace module, root_.at("graph_module"));
  MLC_TRY(const JsonPlace graph, module.at("graph"));
  ProgramScope scope{graph, &reader.out_.graph.body(), {}};
  MLC_CHECK(reader.read_inputs(scope));
  reader.out_.examples = reader.sizes_.examples();
  return guarded_sizes(reader.out_);
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

// NAMES: what the file calls each of them; empty for those that it leaves out.
Result<std::vector<ir::Output>> ProgramReader::read_outputs(ProgramScope& scope,
                                                            const JsonPlace& node,
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
    MLC_TRY(TensorType type, sizes_.tensor_type(scope.graph, name));
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
        MLC_TRY(Type type, sizes_.integer_type(scope.graph, name));
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

/// Whether a number has become a tensor: a complex one.
bool has_other_tensor(const std::vector<ir::Argument>& arguments) {
  const auto other = std::ranges::find(arguments, "other", &ir::Argument::name);
  if (other == arguments.end()) return false;
  auto* const* value = std::get_if<ir::Value*>(&other->value);
  return value != nullptr && (*value)->tensor() != nullptr;
}

Status ProgramReader::read_node(ProgramScope& scope, const JsonPlace& node) {
  MLC_TRY(const JsonPlace target, node.at("target"));
  MLC_TRY(const std::string text, target.string());
  auto op = ir::op_name(text);
  if (!op) {
    return unsupported(
        "the program calls " + quoted(text, 80) + ", which is no operator",
        "torch.export.save(program.run_decompositions(), FILE) takes such calls out");
  }
  ProgramGraphs graphs;
  MLC_TRY(std::vector<ir::Argument> arguments, arguments_.read(scope, node, graphs));
  if (op->overload == "Scalar" && has_other_tensor(arguments)) op->overload = "Tensor";
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

Status ProgramReader::read_nodes(ProgramScope& scope) {
  MLC_TRY(const JsonPlace nodes, scope.graph.at("nodes"));
  MLC_TRY(const size_t count, nodes.size());
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace node, nodes.at(i));
    MLC_CHECK(read_node(scope, node));
  }
  return {};
}

Status ProgramReader::read_block_input(ProgramScope& scope, const JsonPlace& argument) {
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
    MLC_TRY(type, sizes_.tensor_type(scope.graph, name));
  } else {
    MLC_TRY(type, sizes_.integer_type(scope.graph, name));
  }
  Value* input = out_.graph.add_block_input(*scope.block, name, std::move(type));
  if (!scope.values.emplace(name, input).second) {
    return corrupt(printable(place.place()) + " is there already");
  }
  return {};
}

Status ProgramReader::read_blocks(Node* node, const ProgramGraphs& graphs) {
  if (!graphs.empty() && ++depth_ > kMaxGraphDepth) {
    return corrupt("the program has graphs nested deeper than " + std::to_string(kMaxGraphDepth));
  }
  for (const JsonPlace& graph : graphs) {
    ProgramScope scope{graph, &out_.graph.add_block(node), {}};
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

Status ProgramReader::read_results(ProgramScope& scope) {
  MLC_TRY(const JsonPlace outputs, scope.graph.at("outputs"));
  MLC_TRY(const size_t count, outputs.size());
  std::vector<ir::Argument> results;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace output, outputs.at(i));
    MLC_TRY(Attribute value, arguments_.attribute(scope, output, nullptr));
    results.push_back({std::to_string(i), std::move(value)});
  }
  out_.graph.set_results(*scope.block, std::move(results));
  return {};
}

Status ProgramReader::read_weight(ProgramScope& scope, const JsonPlace& argument,
                                  const JsonPlace& about, ValueKind kind, const char* key_field) {
  MLC_TRY(const auto member, argument.only());
  if (member.first != "as_tensor") {
    return unsupported(printable(argument.place()) + " is a constant that is no tensor",
                       "programs with script objects cannot run without the code behind them");
  }
  MLC_TRY(const JsonPlace name_place, member.second.at("name"));
  MLC_TRY(const std::string name, name_place.string());
  MLC_TRY(const JsonPlace key_place, about.at(key_field));
  MLC_TRY(const std::string key, key_place.string());
  MLC_TRY(TensorType type, sizes_.tensor_type(scope.graph, name));
  MLC_TRY(const JsonPlace all, scope.graph.at("tensor_values"));
  MLC_TRY(const JsonPlace meta, all.at(name.c_str()));
  ProgramWeight weight;
  weight.key = key;
  if (meta.has("strides")) {
    MLC_TRY(const JsonPlace strides, meta.at("strides"));
    MLC_TRY(weight.strides, sizes_.plain_sizes(strides));
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

Status ProgramReader::read_user_input(ProgramScope& scope, const JsonPlace& argument) {
  MLC_TRY(const auto member, argument.only());
  const auto& [kind, value] = member;
  ProgramInput input;
  const bool is_tensor = kind == "as_tensor";
  if (is_tensor || kind == "as_sym_int") {
    MLC_TRY(const JsonPlace place, value.at(is_tensor ? "name" : "as_name"));
    MLC_TRY(input.name, place.string());
    Type type;
    if (is_tensor) {
      MLC_TRY(type, sizes_.tensor_type(scope.graph, input.name));
    } else {
      MLC_TRY(type, sizes_.integer_type(scope.graph, input.name));
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

Status ProgramReader::read_input(ProgramScope& scope, const JsonPlace& argument,
                                 const JsonPlace& spec) {
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

Status ProgramReader::read_inputs(ProgramScope& scope) {
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

Status ProgramReader::read_mutation(ProgramScope& scope, const JsonPlace& about, const char* field,
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

Status ProgramReader::read_output_specs(ProgramScope& scope) {
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
  MLC_CHECK(sizes_.read_ranges(root_));
  MLC_CHECK(read_guards());
  MLC_TRY(const GuardedSizes limits, guarded());
  sizes_.set_ranges(limits.ranges);
  out_.notes = limits.notes;
  MLC_TRY(const JsonPlace module, root_.at("graph_module"));
  MLC_TRY(const JsonPlace graph, module.at("graph"));
  ProgramScope scope{graph, &out_.graph.body(), {}};
  MLC_CHECK(read_inputs(scope));
  MLC_CHECK(read_nodes(scope));
  MLC_CHECK(read_results(scope));
  MLC_CHECK(read_output_specs(scope));
  MLC_CHECK(ir::verify(out_.graph));
  out_.examples = sizes_.examples();
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
