#include "mlc/onnx/lower_program.h"

#include "mlc/ir/block_ops.h"
#include "mlc/onnx/builder.h"
#include "mlc/onnx/keep_operator.h"
#include "mlc/onnx/op_map.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/overloads.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {

class ProgramLowering {
 public:
  ProgramLowering(const Program& program, const LowerOptions& options, Lowered& out)
      : program_(program), options_(options), out_(out), builder_(out.model, options.opset) {}

  Status run();

 private:
  Status add_inputs();
  void add_weights();
  void lower_block(const ir::Block& block);
  void lower_node(const ir::Node& node);
  void lower_call(Call& call);
  void lower_complex(Call& call);
  void lower_parts(Call& call, const Row& row);
  std::vector<GraphOutput> own_outputs(const Inputs& values);
  void lower_if(Call& call);
  void give_operands(Call& call, const ir::Block& block);
  void lower_inlined(Call& call);
  void lower_while(Call& call);
  void lower_loop(Call& call);
  void give_loop(const ir::Value* value, Value* given);
  void lower_scan(Call& call);
  void enter(const ir::Block& block, const Inputs& given);
  Inputs results_of(const ir::Block& block);
  Value* with_sizes(Value* rows);
  Inputs block_inputs(const ir::Block& block, size_t count);
  Problem& note_problem(const ir::Node& node, std::string reason);
  void stand_in(const ir::Node& node);
  void add_outputs();

  const Program& program_;
  const LowerOptions& options_;
  Lowered& out_;
  Builder builder_;
  ValueMap values_;
  std::map<std::pair<std::string, std::string>, size_t> problem_places_;
};

Status ProgramLowering::add_inputs() {
  for (const auto& [name, value] : program_.inputs) {
    const ir::TensorType* tensor = value->tensor();
    TensorType type;
    if (tensor == nullptr) {
      const auto& scalar = std::get<ir::ScalarType>(value->type());
      if (scalar.kind == ir::ScalarKind::text) {
        return unsupported("its input " + name + " is text");
      }
      type.dtype = scalar.kind == ir::ScalarKind::integer   ? DType::i64
                   : scalar.kind == ir::ScalarKind::boolean ? DType::boolean
                                                            : DType::f32;
    } else if (is_complex(value)) {
      return unsupported("its input " + name + " is complex",
                         "ONNX Runtime has no complex numbers: give torch.view_as_real of it");
    } else if (tensor->dtype && tensor->sizes) {
      type = {*tensor->dtype, *tensor->sizes};
    } else {
      return unsupported("the dtype and the number of dimensions of its input " + name +
                         " are not known");
    }
    Value* made = out_.model.new_value(std::move(type));
    made->name = name;
    out_.model.graph.inputs.push_back(made);
    values_.emplace(value, made);
    if (tensor != nullptr) {
      builder_.define_symbols(made);
    } else if (const auto& scalar = std::get<ir::ScalarType>(value->type()); scalar.value) {
      const std::vector<size_t> used = builder_.symbols().symbols_of(*scalar.value);
      if (used.size() == 1) builder_.define_symbol(used[0], made);
    }
  }
  return {};
}

namespace {

/// A complex tensor as the pairs of real numbers that it is in memory.
DataRef pairs_of(const DataRef& data, DType part) {
  auto out = std::make_shared<TensorData>(*data);
  out->dtype = part;
  out->sizes.push_back(2);
  return out;
}

}  // namespace

void ProgramLowering::add_weights() {
  for (const auto& [value, data] : program_.weights) {
    const auto part = part_dtype(data->dtype);
    values_.emplace(value, builder_.constant(part ? pairs_of(data, *part) : data));
  }
}

namespace {

/// The values of one argument, those of lists too.
std::vector<const ir::Value*> values_of(const ir::Node& node, size_t argument) {
  const ir::Attribute& attribute = node.arguments().at(argument).value;
  if (const auto* value = std::get_if<ir::Value*>(&attribute)) return {*value};
  if (const auto* list = std::get_if<ir::Values>(&attribute)) return {list->begin(), list->end()};
  return {};
}

std::vector<const ir::Value*> values_of(const ir::Node& node) {
  std::vector<const ir::Value*> out;
  for (size_t i = 0; i < node.arguments().size(); ++i) {
    const auto some = values_of(node, i);
    out.insert(out.end(), some.begin(), some.end());
  }
  return out;
}

/// Whether ARGUMENT of NODE is a float of Python, which has 64 bits.
bool is_real_number(const ir::Node& node, size_t argument) {
  const ir::Attribute& attribute = node.arguments().at(argument).value;
  const auto* const value = std::get_if<ir::Value*>(&attribute);
  if (value == nullptr) return std::holds_alternative<double>(attribute);
  const auto* const scalar = std::get_if<ir::ScalarType>(&(*value)->type());
  return scalar != nullptr && scalar->kind == ir::ScalarKind::number;
}

bool touches_complex(const ir::Node& node) {
  return std::ranges::any_of(values_of(node), is_complex) ||
         std::ranges::any_of(node.outputs(), is_complex);
}

}  // namespace

Problem& ProgramLowering::note_problem(const ir::Node& node, std::string reason) {
  const std::string op = node.op().domain + "::" + node.op().name;
  const auto [place, is_new] = problem_places_.try_emplace({op, reason}, out_.problems.size());
  if (is_new) out_.problems.push_back({op, std::move(reason), 0, node.origin(), true});
  Problem& problem = out_.problems[place->second];
  ++problem.count;
  return problem;
}

/// Values of the types that the program says, so that what follows is looked at too.
void ProgramLowering::stand_in(const ir::Node& node) {
  for (const ir::Value* output : node.outputs()) {
    if (values_.contains(output)) continue;
    TensorType type;
    if (const ir::TensorType* tensor = output->tensor()) {
      type = {tensor->dtype.value_or(DType::f32), tensor->sizes.value_or(Sizes())};
      if (const auto part = part_dtype(type.dtype)) {
        type.dtype = *part;
        type.sizes.push_back(builder_.expr(2));
      }
    } else {
      type.dtype = DType::i64;
    }
    Value* value = out_.model.new_value(std::move(type));
    builder_.define_symbols(value);
    values_.emplace(output, value);
  }
}

/// What BLOCK of a higher-order operator is given: the tensors behind the first argument, in order.
void ProgramLowering::give_operands(Call& call, const ir::Block& block) {
  Inputs operands;
  for (size_t i = 1; i < call.node.arguments().size(); ++i) {
    const ir::Argument& argument = call.node.arguments()[i];
    if (std::holds_alternative<ir::Values>(argument.value)) {
      for (Value* one : call.optional_tensors(argument.name)) operands.push_back(one);
    } else if (std::holds_alternative<ir::Value*>(argument.value)) {
      operands.push_back(call.tensor_at(i));
    }
  }
  for (size_t i = 0; i < block.inputs().size(); ++i) {
    if (operands.at(i) == nullptr) Call::refuse("one of its operands is None");
    values_.insert_or_assign(block.inputs()[i], operands[i]);
  }
}

/// VALUES as the outputs of a graph, each by itself: ONNX wants a name of its own for each.
std::vector<GraphOutput> ProgramLowering::own_outputs(const Inputs& values) {
  std::vector<GraphOutput> out;
  for (Value* value : values) {
    // The same operator on the same value is made once: what is there already is copied again.
    do {
      value = builder_.unary("Identity", value);
    } while (std::ranges::find(out, value, &GraphOutput::value) != out.end());
    out.push_back({"", value});
  }
  return out;
}

void ProgramLowering::lower_if(Call& call) {
  const ir::Node& node = call.node;
  if (node.blocks().size() != 2) Call::refuse("it has no two branches");
  for (const auto& block : node.blocks()) give_operands(call, *block);
  Value* condition = call.b.cast(call.tensor_at(0), DType::boolean);
  if (const auto known = builder_.known_integers(condition)) {
    const ir::Block& taken = *node.blocks()[known->front() != 0 ? 0 : 1];
    lower_block(taken);
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      Call ends(builder_, values_, *taken.results());
      call.give(ends.tensor_at(i), i);
    }
    return;
  }
  Attributes branches;
  for (size_t i = 0; i < 2; ++i) {
    const ir::Block& block = *node.blocks()[i];
    builder_.begin_graph(i == 0 ? "then" : "else");
    lower_block(block);
    builder_.set_origin(node.origin(), "prim::If");
    Inputs results;
    Call ends(builder_, values_, *block.results());
    for (size_t o = 0; o < node.outputs().size(); ++o) {
      results.push_back(builder_.cast(ends.tensor_at(o), call.output_dtype(o)));
    }
    branches.push_back(
        {i == 0 ? "then_branch" : "else_branch", builder_.end_graph(own_outputs(results))});
  }
  std::vector<TensorType> types;
  for (size_t o = 0; o < node.outputs().size(); ++o) types.push_back(call.output_type(o));
  const auto made = builder_.nodes("If", {condition}, std::move(branches), std::move(types));
  for (size_t o = 0; o < made.size(); ++o) call.give(made[o], o);
}

/// What BLOCK is given, and all that it does.
void ProgramLowering::enter(const ir::Block& block, const Inputs& given) {
  if (block.inputs().size() != given.size())
    Call::refuse("its block takes another number of values");
  for (size_t i = 0; i < given.size(); ++i) {
    values_.insert_or_assign(block.inputs()[i], given[i]);
    builder_.define_symbols(given[i]);
  }
  lower_block(block);
}

Inputs ProgramLowering::results_of(const ir::Block& block) {
  Call ends(builder_, values_, *block.results());
  Inputs out;
  for (size_t i = 0; i < block.results()->arguments().size(); ++i) out.push_back(ends.tensor_at(i));
  return out;
}

/// Inputs of the graph that was begun last, as the first COUNT of BLOCK are.
Inputs ProgramLowering::block_inputs(const ir::Block& block, size_t count) {
  Inputs out;
  for (size_t i = 0; i < count; ++i) {
    const ir::TensorType* type = block.inputs().at(i)->tensor();
    if (type == nullptr || !type->dtype || !type->sizes) {
      Call::refuse("its block takes values whose shapes are not known");
    }
    out.push_back(builder_.graph_input({*type->dtype, *type->sizes}));
  }
  return out;
}

namespace {

/// All tensors and integers among the arguments, those of lists too.
Inputs all_operands(Call& call) {
  Inputs out;
  for (size_t i = 0; i < call.node.arguments().size(); ++i) {
    const ir::Argument& argument = call.node.arguments()[i];
    if (std::holds_alternative<ir::Values>(argument.value)) {
      for (Value* value : call.tensors(argument.name)) out.push_back(value);
    } else if (const auto* sizes = std::get_if<std::vector<ir::Expr>>(&argument.value)) {
      for (const ir::Expr size : *sizes) out.push_back(call.b.integer(size));
    } else if (std::holds_alternative<ir::Value*>(argument.value) ||
               std::holds_alternative<ir::Expr>(argument.value)) {
      out.push_back(call.tensor_at(i));
    }
  }
  return out;
}

/// The list of tensors that stands at PLACE among the arguments of a higher-order operator.
Inputs tensors_at(Call& call, std::string_view place) {
  return call.has(place) ? call.tensors(place) : Inputs();
}

Inputs joined(Inputs first, const Inputs& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

/// What only says how its block is to be run: its operands are the last arguments.
void ProgramLowering::lower_inlined(Call& call) {
  if (call.node.blocks().size() != 1) Call::refuse("it has not one block");
  if (call.node.op().name == "wrap_with_autocast" && call.boolean("2", true)) {
    Call::refuse("it changes dtypes as it runs (torch.autocast): export the model without it");
  }
  const ir::Block& block = *call.node.blocks()[0];
  Inputs given = all_operands(call);
  if (given.size() > block.inputs().size()) {
    given.erase(given.begin(), given.end() - std::ssize(block.inputs()));
  }
  enter(block, given);
  const Inputs results = results_of(block);
  for (size_t i = 0; i < call.output_count(); ++i) call.give(results.at(i), i);
}

/// while_loop(condition, body, carried, additional).
void ProgramLowering::lower_while(Call& call) {
  if (call.node.blocks().size() != 2) Call::refuse("it has no condition and body");
  const ir::Block& condition = *call.node.blocks()[0];
  const ir::Block& body = *call.node.blocks()[1];
  const Inputs carried = tensors_at(call, "2");
  const Inputs outer = tensors_at(call, "3");
  enter(condition, joined(carried, outer));
  Value* begins = builder_.cast(results_of(condition).at(0), DType::boolean);
  builder_.begin_graph("body");
  builder_.graph_input({DType::i64, {}});      // which round it is
  builder_.graph_input({DType::boolean, {}});  // that it runs
  enter(body, joined(block_inputs(body, carried.size()), outer));
  const Inputs next = results_of(body);
  enter(condition, joined(next, outer));
  Value* goes_on = builder_.cast(results_of(condition).at(0), DType::boolean);
  builder_.set_origin(call.node.origin(), call.op());
  const auto graph = builder_.end_graph(own_outputs(joined({builder_.reshape(goes_on, {})}, next)));
  Inputs inputs = joined({nullptr, builder_.reshape(begins, {})}, carried);
  std::vector<TensorType> types;
  for (size_t i = 0; i < call.output_count(); ++i) types.push_back(call.output_type(i));
  const auto made = builder_.nodes("Loop", std::move(inputs), {{"body", graph}}, std::move(types));
  for (size_t i = 0; i < made.size(); ++i) call.give(made[i], i);
}

/// GIVEN is what the body of a loop begun last calls VALUE.
void ProgramLowering::give_loop(const ir::Value* value, Value* given) {
  values_.insert_or_assign(value, given);
  const auto* scalar = std::get_if<ir::ScalarType>(&value->type());
  if (scalar == nullptr) {
    builder_.define_symbols(given);
  } else if (scalar->value) {
    const std::vector<size_t> used = builder_.symbols().symbols_of(*scalar->value);
    if (used.size() == 1) builder_.define_symbol(used[0], given);
  }
}

/// prim::Loop(trips, condition, carried...) of TorchScript. Its block takes the number of the round
/// and what is carried; it gives whether there is a next round, what is carried into it, and what
/// the loop gives of all rounds.
void ProgramLowering::lower_loop(Call& call) {
  // So many rounds stand for no limit: TorchScript's `while`, of which the first rounds may have
  // been taken off.
  constexpr int64_t kNoLimit = int64_t{1} << 62;
  const size_t given = call.output_count();  // what is carried, then what all rounds give
  if (call.node.blocks().size() != 1) Call::refuse("it has not one block");
  const ir::Block& body = *call.node.blocks()[0];
  const size_t count = body.inputs().empty() ? 0 : body.inputs().size() - 1;
  if (call.node.arguments().size() != count + 2 || body.inputs().empty() || given < count ||
      body.results()->arguments().size() != given + 1) {
    Call::refuse("its block takes or gives another number of values");
  }
  Value* trips = builder_.reshape(call.tensor_at(0), {});
  const auto limit = builder_.known_integers(trips);
  if (limit && limit->front() >= kNoLimit) trips = nullptr;
  Inputs inputs = {trips, builder_.reshape(builder_.cast(call.tensor_at(1), DType::boolean), {})};
  std::vector<TensorType> types;
  for (size_t i = 0; i < count; ++i) {
    types.push_back(call.output_type(i));
    const ir::TensorType* carried = body.inputs()[i + 1]->tensor();
    if (carried != nullptr && !carried->sizes) Call::refuse("what it carries has no known shape");
    inputs.push_back(builder_.cast(call.tensor_at(i + 2), types.back().dtype));
  }
  for (size_t i = count; i < given; ++i) types.push_back(call.output_type(i));
  builder_.begin_graph("body");
  give_loop(body.inputs()[0], builder_.graph_input({DType::i64, {}}));
  builder_.graph_input({DType::boolean, {}});  // that it runs
  for (size_t i = 0; i < count; ++i) {
    const ir::Value* own = body.inputs()[i + 1];
    const ir::TensorType* tensor = own->tensor();
    give_loop(own,
              builder_.graph_input({types[i].dtype, tensor == nullptr ? Sizes() : *tensor->sizes}));
  }
  lower_block(body);
  builder_.set_origin(call.node.origin(), call.op());
  Inputs next = results_of(body);
  next[0] = builder_.reshape(builder_.cast(next[0], DType::boolean), {});
  for (size_t i = 0; i < given; ++i) next[i + 1] = builder_.cast(next[i + 1], types[i].dtype);
  const auto graph = builder_.end_graph(own_outputs(next));
  const auto made = builder_.nodes("Loop", std::move(inputs), {{"body", graph}}, std::move(types));
  for (size_t i = 0; i < count; ++i) call.give(made[i], i);
  for (size_t i = count; i < given; ++i) call.give(with_sizes(made[i]), i);
}

/// What a loop gives of all rounds: where there was none, ONNX Runtime has zeros for sizes too that
/// hang on others.
Value* ProgramLowering::with_sizes(Value* rows) {
  const Sizes& sizes = rows->type.sizes;
  const ir::Symbols& symbols = builder_.symbols();
  const bool fixed = std::all_of(sizes.begin() + 1, sizes.end(), [&](ir::Expr one) {
    return symbols.constant_value(one).has_value();
  });
  constexpr int kAllowsZero = 14;
  if (fixed || symbols.bounds(sizes[0]).low > 0 || !builder_.can_use(kAllowsZero)) return rows;
  builder_.define_symbols(rows);
  return builder_.node("Reshape", {rows, builder_.integer_list(sizes)}, {{"allowzero", int64_t{1}}},
                       rows->type);
}

/// scan(combine, first states, sequences, additional): the sequences along their first dimension.
void ProgramLowering::lower_scan(Call& call) {
  if (call.node.blocks().size() != 1) Call::refuse("it has not one block");
  const ir::Block& body = *call.node.blocks()[0];
  const Inputs states = tensors_at(call, "1");
  const Inputs sequences = tensors_at(call, "2");
  builder_.begin_graph("body");
  const Inputs own = block_inputs(body, states.size() + sequences.size());
  enter(body, joined(own, tensors_at(call, "3")));
  const Inputs results = results_of(body);
  builder_.set_origin(call.node.origin(), call.op());
  const auto graph = builder_.end_graph(own_outputs(results));
  std::vector<TensorType> types;
  for (size_t i = 0; i < call.output_count(); ++i) types.push_back(call.output_type(i));
  const auto count = static_cast<int64_t>(sequences.size());
  const auto made = builder_.nodes("Scan", joined(states, sequences),
                                   {{"body", graph}, {"num_scan_inputs", count}}, std::move(types));
  for (size_t i = 0; i < made.size(); ++i) call.give(made[i], i);
}

void ProgramLowering::lower_complex(Call& call) {
  const Row* own = find_complex_row(call.op());
  const Row* plain = find_row(call.op());
  if (own == nullptr || (own->lower == nullptr && plain == nullptr)) {
    Call::refuse("it computes with complex numbers");
  }
  if (own->lower == nullptr) return lower_parts(call, *plain);
  call.complex = Call::Complex::pairs;
  own->lower(call);
}

/// What treats real and imaginary parts alike, for one after the other.
void ProgramLowering::lower_parts(Call& call, const Row& row) {
  std::map<const ir::Value*, Value*> pairs;
  for (const ir::Value* value : values_of(call.node)) {
    if (is_complex(value)) pairs.emplace(value, call.value_of(value));
    const ir::TensorType* type = value == nullptr ? nullptr : value->tensor();
    if (type != nullptr && type->dtype && info(*type->dtype).kind == DTypeClass::floating) {
      Call::refuse("it mixes complex and real numbers");
    }
  }
  call.complex = Call::Complex::parts;
  std::vector<Inputs> parts(call.output_count());
  const auto give_back = [&] {
    for (const auto& [value, pair] : pairs) values_[value] = pair;
  };
  for (int64_t part = 0; part < 2; ++part) {
    for (const auto& [value, pair] : pairs) {
      values_[value] = builder_.select(pair, -1, builder_.expr(part));
    }
    try {
      row.lower(call);
    } catch (...) {
      give_back();
      throw;
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto made = values_.find(call.node.output(i));
      if (made != values_.end()) parts[i].push_back(builder_.unsqueeze(made->second, {-1}));
    }
  }
  give_back();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].size() == 2) values_[call.node.output(i)] = builder_.concat(parts[i], -1);
  }
}

void ProgramLowering::lower_call(Call& call) {
  const std::string op = call.op();
  const MappedOperator* mapped = options_.map == nullptr ? nullptr : options_.map->find(op);
  if (mapped != nullptr) return lower_mapped(call, *mapped);
  if (op == "prim::If" || op == "higher_order::cond") return lower_if(call);
  if (op == "prim::Loop") return lower_loop(call);
  if (op == "higher_order::while_loop") return lower_while(call);
  if (op == "higher_order::scan") return lower_scan(call);
  if (ir::runs_its_block_once(call.node.op())) return lower_inlined(call);
  // Whole numbers that are known as expressions need no operator, unless it makes their symbols.
  bool known = !call.node.outputs().empty();
  bool made = known;
  for (const ir::Value* output : call.node.outputs()) {
    const auto* scalar = std::get_if<ir::ScalarType>(&output->type());
    known = known && scalar != nullptr && scalar->value;
    made = made && known && builder_.can_make(*scalar->value);
  }
  if (made) return;
  if (touches_complex(call.node)) return lower_complex(call);
  const bool exists = is_overload(call.node.op());
  const Row* row = exists ? find_row(op) : nullptr;
  if (row != nullptr && options_.partial_domain.empty()) return row->lower(call);
  if (row != nullptr) {
    try {
      return row->lower(call);
    } catch (const Unlowerable&) {
      if (std::ranges::any_of(call.node.outputs(), is_complex)) throw;
      return keep_operator(call, options_.partial_domain);
    }
  }
  if (known) return;
  if (std::ranges::any_of(call.node.outputs(), is_complex)) {
    Call::refuse("no lowering, and its result is complex, which ONNX Runtime has no operators for");
  }
  if (!options_.partial_domain.empty()) return keep_operator(call, options_.partial_domain);
  Call::refuse(exists ? "no lowering"
                      : "no lowering of its overload \"" + call.node.op().overload + "\"");
}

void ProgramLowering::lower_node(const ir::Node& node) {
  builder_.set_origin(node.origin(), node.op().domain + "::" + node.op().name);
  Call call(builder_, values_, node);
  std::string reason;
  try {
    lower_call(call);
    for (const ir::Value* output : node.outputs()) {
      if (output->uses().empty() || values_.contains(output)) continue;
      const auto* scalar = std::get_if<ir::ScalarType>(&output->type());
      if (scalar == nullptr || !scalar->value) reason = "one of its results is not lowered";
    }
  } catch (const Unlowerable& problem) {
    reason = problem.what;
  } catch (const std::out_of_range&) {
    reason = "its arguments do not fit each other";
  } catch (const std::bad_optional_access&) {
    reason = "its arguments do not fit each other";
  } catch (const std::bad_variant_access&) {
    reason = "its arguments have other types than it takes";
  }
  if (reason.empty()) return;
  Problem& problem = note_problem(node, std::move(reason));
  const bool mapped = options_.map != nullptr && options_.map->find(call.op()) != nullptr;
  problem.can_be_kept = problem.can_be_kept && !mapped && node.blocks().empty() &&
                        !touches_complex(node) && can_keep_operator(call);
  stand_in(node);
}

void ProgramLowering::lower_block(const ir::Block& block) {
  for (const ir::Node* node : block.nodes()) lower_node(*node);
}

void ProgramLowering::add_outputs() {
  const ir::Node& results = *program_.graph->body().results();
  builder_.set_origin({}, "");
  for (const auto& [name, result] : program_.outputs) {
    Call ends(builder_, values_, results);
    try {
      if (std::ranges::any_of(values_of(results, result), is_complex)) {
        Call::refuse("its output " + name + " is complex: return torch.view_as_real of it");
      }
      Value* value = ends.tensor_at(result);
      if (is_real_number(results, result)) value = builder_.cast(value, DType::f64);
      // An output has a name of its own, so that what has one already is passed through.
      const bool named = value->producer == nullptr ||
                         std::ranges::any_of(out_.model.graph.outputs, [&](const auto& other) {
                           return other.value == value;
                         });
      if (named) {
        const TensorType type = value->type;
        Node* same = out_.model.new_node();
        same->op = "Identity";
        same->inputs = {value};
        Value* output = out_.model.new_value(type);
        output->producer = same;
        same->outputs = {output};
        out_.model.graph.nodes.push_back(same);
        value = output;
      }
      out_.model.graph.outputs.push_back({name, value});
    } catch (const Unlowerable& problem) {
      note_problem(results, problem.what).can_be_kept = false;
    }
  }
}

Status ProgramLowering::run() {
  MLC_CHECK(add_inputs());
  add_weights();
  lower_block(program_.graph->body());
  add_outputs();
  out_.values = std::move(values_);
  return {};
}

Result<Lowered> lower_program(const Program& program, const LowerOptions& options) {
  Lowered out;
  out.model.program = program.graph;
  out.model.graph.name = program.graph->name();
  ProgramLowering lowering(program, options, out);
  MLC_CHECK(lowering.run());
  return out;
}

}  // namespace mlc::onnx
