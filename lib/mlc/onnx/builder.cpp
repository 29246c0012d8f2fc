#include "mlc/onnx/builder.h"

#include "mlc/ir/linear_size.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/fold.h"
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/randomness.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMaxSmallBytes = uint64_t{1} << 22;

/// Equal where nodes give equal values; empty for those that never do. What the operators of other
/// domains do is not known: they may draw random numbers.
std::string key_of(std::string_view op, const Inputs& inputs, const Attributes& attributes,
                   const std::string& domain) {
  if (is_random(op) || (!domain.empty() && domain != "com.microsoft")) return {};
  std::string key = fmt::format("{}:{}(", domain, op);
  for (const Value* input : inputs) key += fmt::format("{},", static_cast<const void*>(input));
  for (const Attribute& one : attributes) {
    key += one.name + "=";
    if (const auto* integer = std::get_if<int64_t>(&one.value)) {
      key += fmt::format("{};", *integer);
    } else if (const auto* number = std::get_if<float>(&one.value)) {
      key += fmt::format("{:a};", *number);
    } else if (const auto* text = std::get_if<std::string>(&one.value)) {
      key += *text + ";";
    } else if (const auto* list = std::get_if<std::vector<int64_t>>(&one.value)) {
      for (const int64_t item : *list) key += fmt::format("{},", item);
    } else if (const auto* numbers = std::get_if<std::vector<float>>(&one.value)) {
      for (const float item : *numbers) key += fmt::format("{:a},", item);
    } else if (const auto* words = std::get_if<std::vector<std::string>>(&one.value)) {
      for (const std::string& item : *words) key += item + ",";
    } else {
      return {};
    }
  }
  return key;
}

int opset_of(std::string_view op, const Attributes& attributes, const std::string& domain) {
  if (!domain.empty()) return 0;
  const auto found = std::ranges::find(attributes, "reduction", &Attribute::name);
  const bool scatters = found != attributes.end() && op.starts_with("Scatter");
  return least_opset(op, scatters ? std::get<std::string>(found->value) : std::string_view());
}

/// Builds the value of an expression out of nodes; all values have one dimension of size 1.
struct ExprMaker {
  Builder& b;
  Value* (*symbol_of)(void*, size_t);
  void* self;

  Value* constant(int64_t value) { return b.integers({value}); }
  Value* symbol(size_t index) { return symbol_of(self, index); }
  Value* add(Value* x, Value* y) { return b.add(x, y); }
  Value* multiply(Value* x, Value* y) { return b.mul(x, y); }
  // Mod rounds as Python does, Div towards zero.
  Value* floor_divide(Value* x, Value* y) {
    Value* rest = b.node("Mod", {x, y}, {}, x->type);
    return b.div(b.sub(x, rest), y);
  }
  // Of sizes 32 bits are enough.
  Value* minimum(Value* x, Value* y) { return b.node("Min", {x, y}, {}, x->type); }
  Value* maximum(Value* x, Value* y) { return b.node("Max", {x, y}, {}, x->type); }
  Value* rounded(const ir::RealSteps& steps, const std::vector<Value*>& operands);
};

/// For ir::follow(): nodes that compute in doubles, as Python does.
struct RealMaker {
  Builder& b;

  Value* number(double value) { return b.floats({value}, {1}, DType::f64); }
  Value* operand(Value* x) { return b.cast(x, DType::f64); }
  Value* combine(ir::RealOp op, Value* x, Value* y) {
    switch (op) {
      case ir::RealOp::add:
        return b.add(x, y);
      case ir::RealOp::multiply:
        return b.mul(x, y);
      case ir::RealOp::divide:
        return b.div(x, y);
      case ir::RealOp::power:
        return b.binary("Pow", x, y);
      case ir::RealOp::minimum:
        return b.binary("Min", x, y);
      case ir::RealOp::maximum:
        return b.binary("Max", x, y);
      case ir::RealOp::square_root:
        return b.unary("Sqrt", x);
      case ir::RealOp::truncate:  // a cast rounds towards 0
        return b.cast(b.cast(x, DType::i64), DType::f64);
      case ir::RealOp::round_down:
        return b.unary("Floor", x);
      case ir::RealOp::round_up:
        return b.unary("Ceil", x);
      case ir::RealOp::round_even:
        return b.unary("Round", x);
      case ir::RealOp::number:
      case ir::RealOp::operand:
        break;
    }
    return x;
  }
};

Value* ExprMaker::rounded(const ir::RealSteps& steps, const std::vector<Value*>& operands) {
  RealMaker maker{b};
  std::span<const ir::RealStep> left(steps);
  if (left.back().op == ir::RealOp::truncate) left = left.first(left.size() - 1);
  return b.cast(ir::follow<Value*, Value*>(left, operands, maker), DType::i64);
}

}  // namespace

bool is_small_constant(const Value* value) {
  return value != nullptr && value->data != nullptr && value->data->byte_size() <= kMaxSmallBytes;
}

Builder::Builder(Model& model, std::optional<int> pinned) : model_(model), pinned_(pinned) {
  if (pinned) model_.opset = *pinned;
  scopes_.emplace_back();
}

void Builder::set_origin(ir::Origin origin, std::string source) {
  origin_ = std::move(origin);
  source_ = std::move(source);
}

namespace {

/// The one symbol that SIZE depends on, and from which value on SIZE is at least LEAST; nothing
/// where that is not soon, or not so for good as far as can be seen.
std::optional<std::pair<size_t, int64_t>> least_symbol(const ir::Symbols& symbols, ir::Expr size,
                                                       int64_t least) {
  constexpr int64_t kMost = 256;
  const std::vector<size_t> used = symbols.symbols_of(size);
  if (used.size() != 1) return std::nullopt;
  std::vector<std::optional<int64_t>> values(symbols.all().size());
  const auto holds = [&](int64_t value) {
    values[used[0]] = value;
    return ir::Evaluator(symbols, values)(size).value_or(least - 1) >= least;
  };
  const int64_t low = std::max<int64_t>(symbols.all()[used[0]].bounds.low, 0);
  int64_t from = low + kMost;
  while (from > low && holds(from - 1)) --from;
  const bool grows = from < low + kMost && holds(2 * from + kMost) && holds(1000 * kMost);
  return grows ? std::optional(std::pair(used[0], from)) : std::nullopt;
}

}  // namespace

void Builder::need_at_least(ir::Expr size, int64_t least) {
  if (symbols().bounds(size).low >= least) return;
  if (const auto symbol = least_symbol(symbols(), size, least)) {
    least = symbol->second;
    size = *symbols().find(symbols().all()[symbol->first].name);
  }
  int64_t& known = model_.least_sizes.try_emplace(symbols().text(size), least).first->second;
  known = std::max(known, least);
}

void Builder::raise_opset(int opset) {
  if (!pinned_) model_.opset = std::max(model_.opset, opset);
}

Value* Builder::constant(DataRef data) {
  const bool known = !data->identity.empty();
  std::string key;
  if (known) {
    key = fmt::format("{}:{}:{}", info(data->dtype).brief, fmt::join(data->sizes, ","),
                      data->identity);
    if (const auto found = constants_.find(key); found != constants_.end()) return found->second;
  }
  Sizes sizes;
  for (const int64_t size : data->sizes) sizes.push_back(expr(size));
  Value* out = model_.new_value({data->dtype, std::move(sizes)});
  out->data = std::move(data);
  if (known) constants_.emplace(std::move(key), out);
  return out;
}

Value* Builder::filled(double value, DType dtype, const std::vector<int64_t>& sizes) {
  uint64_t count = 1;
  for (const int64_t size : sizes) count *= static_cast<uint64_t>(size);
  return constant(tensor_of_doubles(std::vector<double>(count, value), sizes, dtype));
}
Value* Builder::number(double value, DType dtype) {
  return constant(tensor_of_doubles({value}, {}, dtype));
}
Value* Builder::number(int64_t value, DType dtype) {
  return constant(tensor_of_integers({value}, {}, dtype));
}
Value* Builder::integers(const std::vector<int64_t>& values) {
  return constant(tensor_of_integers(values, {static_cast<int64_t>(values.size())}, DType::i64));
}
Value* Builder::floats(const std::vector<double>& values, const std::vector<int64_t>& sizes,
                       DType dtype) {
  return constant(tensor_of_doubles(values, sizes, dtype));
}
Value* Builder::int_tensor(const std::vector<int64_t>& values, const std::vector<int64_t>& sizes,
                           DType dtype) {
  return constant(tensor_of_integers(values, sizes, dtype));
}

std::optional<std::vector<int64_t>> Builder::known_integers(const Value* value) const {
  if (value->data == nullptr || value->data->count() > 65536) return std::nullopt;
  const auto kind = info(value->type.dtype).kind;
  if (kind != DTypeClass::integer && kind != DTypeClass::boolean) return std::nullopt;
  const auto read = array_of(*value->data);
  if (!read) return std::nullopt;
  return read->integers;
}

std::optional<double> Builder::known_number(const Value* value) const {
  if (value->data == nullptr || value->data->count() != 1) return std::nullopt;
  const auto read = array_of(*value->data);
  if (!read) return std::nullopt;
  return read->is_floating() ? read->doubles[0] : static_cast<double>(read->integers[0]);
}

void Builder::define_symbol(size_t index, Value* scalar) {
  symbol_places_.try_emplace(index, SymbolPlace{scalar, std::nullopt, scopes_.size()});
}

void Builder::define_symbols(Value* value) {
  for (size_t axis = 0; axis < value->type.sizes.size(); ++axis) {
    const ir::Expr size = value->type.sizes[axis];
    const std::vector<size_t> used = symbols().symbols_of(size);
    if (used.size() != 1 || symbol_places_.contains(used[0])) continue;
    SymbolPlace place{value, static_cast<int64_t>(axis), scopes_.size()};
    if (symbols().text(size) == symbols().all()[used[0]].name) {
      symbol_places_.try_emplace(used[0], place);
    } else if (derived_places_.contains(used[0])) {
      continue;
    } else if (const auto line = ir::linear_size(symbols(), size)) {
      // A dimension of 2*h tells h as well, but only where nothing says it more simply.
      place.factor = line->factor;
      place.offset = line->offset;
      derived_places_.try_emplace(used[0], place);
    }
  }
}

const Builder::SymbolPlace* Builder::place_of(size_t index) const {
  for (const auto* places : {&symbol_places_, &derived_places_}) {
    if (const auto found = places->find(index); found != places->end()) return &found->second;
  }
  return nullptr;
}

bool Builder::can_make(ir::Expr value) const {
  return std::ranges::all_of(model_.symbols().symbols_of(value),
                             [&](size_t index) { return place_of(index) != nullptr; });
}

Value* Builder::symbol_tensor(size_t index) {
  const SymbolPlace place = *place_of(index);
  if (!place.axis) return reshape(place.value, {expr(1)});
  const Sizes one = {expr(1)};
  const int64_t axis = *place.axis;
  Value* out = nullptr;
  if (can_use(15)) {
    out = node("Shape", {place.value}, {{"start", axis}, {"end", axis + 1}}, {DType::i64, one});
  } else {
    const auto rank = static_cast<int64_t>(place.value->type.sizes.size());
    Value* all = node("Shape", {place.value}, {}, {DType::i64, {expr(rank)}});
    out = node("Gather", {all, integers({axis})}, {{"axis", int64_t{0}}}, {DType::i64, one});
  }
  if (place.offset != 0) out = sub(out, integers({place.offset}));
  return place.factor == 1 ? out : div(out, integers({place.factor}));
}

Value* Builder::integer_1d(ir::Expr value) {
  if (const auto known = symbols().constant_value(value)) return integers({*known});
  for (const Scope& scope : scopes_) {
    if (const auto found = scope.integers.find(value.id); found != scope.integers.end()) {
      return found->second;
    }
  }
  ExprMaker maker{
      *this,
      [](void* self, size_t index) { return static_cast<Builder*>(self)->symbol_tensor(index); },
      this};
  for (const size_t index : symbols().symbols_of(value)) {
    if (place_of(index) == nullptr) {
      throw Unlowerable("the size " + symbols().all()[index].name + " is not known at run time");
    }
  }
  Value* out = symbols().build<Value*>(value, maker);
  scopes_.back().integers.emplace(value.id, out);
  return out;
}

Value* Builder::integer(ir::Expr value) {
  if (const auto known = symbols().constant_value(value)) return number(*known, DType::i64);
  return squeeze(integer_1d(value), {0});
}

Value* Builder::integer_list(const Sizes& values) {
  if (const auto fixed = fixed_sizes(symbols(), values)) return integers(*fixed);
  Inputs parts;
  std::vector<int64_t> run;
  const auto flush = [&] {
    if (!run.empty()) parts.push_back(integers(run));
    run.clear();
  };
  for (const ir::Expr value : values) {
    if (const auto known = symbols().constant_value(value)) {
      run.push_back(*known);
      continue;
    }
    flush();
    parts.push_back(integer_1d(value));
  }
  flush();
  return concat(parts, 0);
}

std::vector<Value*> Builder::append(std::string_view op, Inputs inputs, Attributes attributes,
                                    std::vector<TensorType> types, const Needs& needs) {
  int opset = std::max(needs.opset, opset_of(op, attributes, needs.domain));
  for (const TensorType& type : types) opset = std::max(opset, least_opset(type.dtype));
  if (!can_use(opset)) throw Unlowerable(fmt::format("it needs opset {}", opset));
  raise_opset(opset);
  if (!needs.domain.empty()) model_.domains.emplace(needs.domain, needs.domain_version);
  Node* made = model_.new_node();
  made->op = op;
  made->domain = needs.domain;
  made->inputs = std::move(inputs);
  made->attributes = std::move(attributes);
  made->origin = origin_;
  made->source = source_;
  made->opset = opset;
  for (TensorType& type : types) {
    Value* out = model_.new_value(std::move(type));
    out->producer = made;
    made->outputs.push_back(out);
  }
  graph().nodes.push_back(made);
  return made->outputs;
}

std::vector<Value*> Builder::nodes(std::string_view op, Inputs inputs, Attributes attributes,
                                   std::vector<TensorType> types, const Needs& needs) {
  while (!inputs.empty() && inputs.back() == nullptr) inputs.pop_back();
  const std::string key = key_of(op, inputs, attributes, needs.domain);
  if (!key.empty()) {
    for (const Scope& scope : scopes_) {
      const auto found = scope.made.find(key);
      if (found != scope.made.end() && found->second.size() >= types.size()) return found->second;
    }
  }
  std::vector<Value*> out;
  if (needs.domain.empty() && !key.empty()) {
    if (auto folded = fold(op, inputs, attributes, types, symbols())) {
      for (DataRef& data : *folded) out.push_back(constant(std::move(data)));
    }
  }
  if (out.empty()) {
    out = append(op, std::move(inputs), std::move(attributes), std::move(types), needs);
  }
  if (!key.empty()) scopes_.back().made.insert_or_assign(key, out);
  return out;
}

std::vector<Value*> Builder::nodes(std::string_view op, Inputs inputs, Attributes attributes,
                                   std::vector<TensorType> types) {
  return nodes(op, std::move(inputs), std::move(attributes), std::move(types), Needs{});
}

Value* Builder::node(std::string_view op, Inputs inputs, Attributes attributes, TensorType type) {
  return nodes(op, std::move(inputs), std::move(attributes), {std::move(type)}).front();
}

ir::Expr Builder::size_of(const Value* x, int64_t axis) {
  const size_t rank = x->type.sizes.size();
  const int64_t at = axis_of(axis, rank);
  if (at < 0 || at >= static_cast<int64_t>(rank)) {
    throw Unlowerable(fmt::format("dimension {} of a tensor that has {}", axis, rank));
  }
  return x->type.sizes[static_cast<size_t>(at)];
}

void Builder::same_dtype(std::string_view op, const Value* a, const Value* b) {
  if (a->type.dtype == b->type.dtype) return;
  throw Unlowerable(
      fmt::format("{} of {} and {}", op, info(a->type.dtype).torch, info(b->type.dtype).torch));
}

ir::Expr Builder::product(std::span<const ir::Expr> sizes) {
  ir::Expr out = expr(1);
  for (const ir::Expr size : sizes) out = symbols().multiply(out, size);
  return out;
}

Sizes Builder::broadcast(const Sizes& a, const Sizes& b) {
  const size_t rank = std::max(a.size(), b.size());
  const ir::Expr one = expr(1);
  Sizes out(rank, one);
  for (size_t i = 0; i < rank; ++i) {
    const ir::Expr x = i < a.size() ? a[a.size() - 1 - i] : one;
    const ir::Expr y = i < b.size() ? b[b.size() - 1 - i] : one;
    ir::Expr& size = out[rank - 1 - i];
    if (x == one) {
      size = y;
    } else if (y == one || x == y) {
      size = x;
    } else {
      // Both have to be equal where neither is 1: a number says more than a name.
      size = symbols().constant_value(y) ? y : x;
    }
  }
  return out;
}

void Builder::begin_graph(std::string name) {
  Scope scope;
  scope.graph = std::make_shared<Graph>();
  scope.graph->name = std::move(name);
  scopes_.push_back(std::move(scope));
}

std::shared_ptr<Graph> Builder::end_graph(std::vector<GraphOutput> outputs) {
  const size_t depth = scopes_.size();
  for (auto* places : {&symbol_places_, &derived_places_}) {
    std::erase_if(*places, [&](const auto& one) { return one.second.depth == depth; });
  }
  std::shared_ptr<Graph> out = std::move(scopes_.back().graph);
  scopes_.pop_back();
  out->outputs = std::move(outputs);
  return out;
}

Value* Builder::graph_input(TensorType type) {
  Value* out = model_.new_value(std::move(type));
  graph().inputs.push_back(out);
  return out;
}

}  // namespace mlc::onnx
