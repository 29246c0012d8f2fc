#include "mlc/onnx/builder.h"

#include "mlc/ir/linear_size.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/fold.h"
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/patterns.h"
#include "mlc/onnx/randomness.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr uint64_t kMaxSmallBytes = uint64_t{1} << 22;

/// Equal where nodes give equal values; empty for those that never do.
std::string key_of(std::string_view op, const Inputs& inputs, const Attributes& attributes,
                   const std::string& domain) {
  if (is_random(op)) return {};
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

std::vector<int64_t> normalized(std::vector<int64_t> axes, size_t rank) {
  for (int64_t& axis : axes) {
    axis = Builder::axis_of(axis, rank);
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) {
      throw Unlowerable(fmt::format("dimension {} of a tensor that has {}", axis, rank));
    }
  }
  std::ranges::sort(axes);
  if (std::ranges::adjacent_find(axes) != axes.end()) {
    throw Unlowerable("a dimension that is named twice");
  }
  return axes;
}

bool is_identity(const std::vector<int64_t>& permutation) {
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
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
  Value* minimum(Value* x, Value* y) { return b.binary("Min", x, y); }
  Value* maximum(Value* x, Value* y) { return b.binary("Max", x, y); }
};

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

void Builder::need_at_least(ir::Expr size, int64_t least) {
  if (symbols().bounds(size).low >= least) return;
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
  const int opset = std::max(needs.opset, opset_of(op, attributes, needs.domain));
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

Value* Builder::unary(std::string_view op, Value* x) {
  if (op == "Not" && is_made_by(x, "Not")) return x->producer->inputs[0];
  const DType dtype = x->type.dtype;
  Value* in = cast(x, kernel_dtype(op, dtype));
  return cast(node(op, {in}, {}, in->type), dtype);
}

Value* Builder::binary(std::string_view op, Value* a, Value* b) {
  same_dtype(op, a, b);
  if (Value* simpler = without_neutral(*this, op, a, b)) return simpler;
  const DType dtype = a->type.dtype;
  const DType computed = kernel_dtype(op, dtype);
  Sizes sizes = broadcast(a->type.sizes, b->type.sizes);
  if (Value* source = unexpanded(*this, a, {b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {a}, sizes)) b = source;
  Value* out = node(op, {cast(a, computed), cast(b, computed)}, {}, {computed, std::move(sizes)});
  return cast(out, dtype);
}

Value* Builder::compare(std::string_view op, Value* a, Value* b) {
  same_dtype(op, a, b);
  const DType computed = kernel_dtype(op, a->type.dtype);
  Sizes sizes = broadcast(a->type.sizes, b->type.sizes);
  if (Value* source = unexpanded(*this, a, {b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {a}, sizes)) b = source;
  return node(op, {cast(a, computed), cast(b, computed)}, {}, {DType::boolean, std::move(sizes)});
}

Value* Builder::cast(Value* x, DType dtype) {
  if (x->type.dtype == dtype) return x;
  // bool -> int -> float is bool -> float; others may lose something in between.
  if (is_made_by(x, "Cast") && x->producer->inputs[0]->type.dtype == DType::boolean) {
    return cast(x->producer->inputs[0], dtype);
  }
  if (x->data != nullptr && !is_small_constant(x)) {
    if (DataRef data = cast_data(x->data, dtype)) return constant(std::move(data));
  }
  return node("Cast", {x}, {{"to", int64_t{info(dtype).onnx}}}, {dtype, x->type.sizes});
}

Value* Builder::where(Value* condition, Value* a, Value* b) {
  same_dtype("Where", a, b);
  if (Value* simpler = guarded_softmax(*this, condition, a, b)) return simpler;
  Sizes sizes = broadcast(condition->type.sizes, broadcast(a->type.sizes, b->type.sizes));
  if (Value* source = unexpanded(*this, condition, {a, b}, sizes)) condition = source;
  if (Value* source = unexpanded(*this, a, {condition, b}, sizes)) a = source;
  if (Value* source = unexpanded(*this, b, {condition, a}, sizes)) b = source;
  if (a->type.dtype == DType::boolean) {
    // ONNX Runtime has no Where for bool.
    return binary("Or", binary("And", condition, a), binary("And", logical_not(condition), b));
  }
  const DType computed = kernel_dtype("Where", a->type.dtype);
  return cast(node("Where", {condition, cast(a, computed), cast(b, computed)}, {},
                   {computed, std::move(sizes)}),
              a->type.dtype);
}

std::optional<std::vector<int64_t>> Builder::reshape_target(const Sizes& from, const Sizes& to) {
  std::vector<int64_t> out;
  bool open = false;
  for (size_t i = 0; i < to.size(); ++i) {
    const auto known = symbols().constant_value(to[i]);
    if (known && *known == 0) return std::nullopt;
    if (known) {
      out.push_back(*known);
    } else if (i < from.size() && from[i] == to[i]) {
      out.push_back(0);
    } else if (!open) {
      out.push_back(-1);
      open = true;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

Value* Builder::reshape(Value* x, const Sizes& sizes) {
  if (x->type.sizes == sizes) return x;
  if (Value* simpler = batched_product(*this, x, sizes)) return simpler;
  if (Value* simpler = linear_of_reshaped(*this, x, sizes)) return simpler;
  if (is_made_by(x, "Reshape") || is_made_by(x, "Unsqueeze") || is_made_by(x, "Squeeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (reshape_target(source->type.sizes, sizes)) return reshape(source, sizes);
  }
  return plain_reshape(x, sizes);
}

Value* Builder::plain_reshape(Value* x, const Sizes& sizes) {
  TensorType type{x->type.dtype, sizes};
  const auto fixed = fixed_sizes(symbols(), sizes);
  if (x->data != nullptr && fixed) return constant(reshape_data(x->data, *fixed));
  if (const auto target = reshape_target(x->type.sizes, sizes)) {
    return node("Reshape", {x, integers(*target)}, {}, std::move(type));
  }
  // Before opset 14 a 0 can only stand for the size that X has there.
  if (fixed && !can_use(14)) {
    for (size_t i = 0; i < fixed->size(); ++i) {
      const bool same = i < x->type.sizes.size() && x->type.sizes[i] == sizes[i];
      if ((*fixed)[i] == 0 && !same) throw Unlowerable("it needs opset 14");
    }
  }
  Value* list = integer_list(sizes);
  Attributes attributes;
  if (fixed && can_use(14)) attributes.push_back({"allowzero", int64_t{1}});
  return node("Reshape", {x, list}, std::move(attributes), std::move(type));
}

Value* Builder::transpose(Value* x, const std::vector<int64_t>& permutation) {
  if (normalized(permutation, x->type.sizes.size()).size() != x->type.sizes.size()) {
    throw Unlowerable("a permutation of another number of dimensions");
  }
  if (is_identity(permutation)) return x;
  if (is_made_by(x, "Transpose")) {
    const auto& first = std::get<std::vector<int64_t>>(*x->producer->find("perm"));
    std::vector<int64_t> both;
    for (const int64_t axis : permutation) both.push_back(first[static_cast<size_t>(axis)]);
    return transpose(x->producer->inputs[0], both);
  }
  Sizes sizes;
  for (const int64_t axis : permutation) sizes.push_back(x->type.sizes[static_cast<size_t>(axis)]);
  if (x->data != nullptr) return constant(transpose_data(x->data, permutation));
  return node("Transpose", {x}, {{"perm", permutation}}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::swap_axes(Value* x, int64_t a, int64_t b) {
  const size_t rank = x->type.sizes.size();
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  if (rank > 0) {
    (void)size_of(x, a);
    (void)size_of(x, b);
    std::swap(permutation[static_cast<size_t>(axis_of(a, rank))],
              permutation[static_cast<size_t>(axis_of(b, rank))]);
  }
  return transpose(x, permutation);
}

Value* Builder::unsqueeze(Value* x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  axes = normalized(std::move(axes), x->type.sizes.size() + axes.size());
  Sizes sizes = x->type.sizes;
  for (const int64_t axis : axes) sizes.insert(sizes.begin() + axis, expr(1));
  if (x->data != nullptr) return reshape(x, sizes);
  if (is_made_by(x, "Reshape") || is_made_by(x, "Squeeze") || is_made_by(x, "Unsqueeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (is_made_by(x, "Reshape") && reshape_target(source->type.sizes, sizes)) {
      return reshape(source, sizes);
    }
  }
  return node("Unsqueeze", {x, integers(axes)}, {}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::squeeze(Value* x, std::vector<int64_t> axes) {
  if (axes.empty()) return x;
  axes = normalized(std::move(axes), x->type.sizes.size());
  Sizes sizes;
  for (size_t i = 0; i < x->type.sizes.size(); ++i) {
    if (!std::ranges::binary_search(axes, static_cast<int64_t>(i))) {
      sizes.push_back(x->type.sizes[i]);
    }
  }
  if (x->data != nullptr) return reshape(x, sizes);
  if (is_made_by(x, "Reshape") || is_made_by(x, "Squeeze") || is_made_by(x, "Unsqueeze")) {
    Value* source = x->producer->inputs[0];
    if (source->type.sizes == sizes) return source;
    if (is_made_by(x, "Reshape") && reshape_target(source->type.sizes, sizes)) {
      return reshape(source, sizes);
    }
  }
  return node("Squeeze", {x, integers(axes)}, {}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::expand(Value* x, const Sizes& sizes) {
  if (x->type.sizes == sizes) return x;
  if (sizes.size() < x->type.sizes.size()) throw Unlowerable("an expansion to fewer dimensions");
  Sizes from(sizes.size() - x->type.sizes.size(), expr(1));
  from.insert(from.end(), x->type.sizes.begin(), x->type.sizes.end());
  if (from == sizes) return reshape(x, sizes);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto known = symbols().constant_value(from[i]);
    if (known && *known != 1 && symbols().equal(from[i], sizes[i]) == false) {
      throw Unlowerable(
          fmt::format("an expansion of size {} to {}", *known, symbols().text(sizes[i])));
    }
  }
  // 1 leaves a size as it is, so that only those that grow have to be known.
  Sizes target = sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (from[i] == sizes[i]) target[i] = expr(1);
  }
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Expand", dtype);
  Value* list = integer_list(target);
  return cast(node("Expand", {cast(x, computed), list}, {}, {computed, sizes}), dtype);
}

Value* Builder::concat(const Inputs& parts, int64_t axis) {
  if (parts.empty()) throw Unlowerable("a concatenation of nothing");
  for (const Value* part : parts) {
    (void)size_of(part, axis);
    same_dtype("Concat", part, parts[0]);
    if (part->type.sizes.size() != parts[0]->type.sizes.size()) {
      throw Unlowerable("a concatenation of tensors with different numbers of dimensions");
    }
  }
  if (parts.size() == 1) return parts[0];
  const size_t rank = parts[0]->type.sizes.size();
  const auto at = static_cast<size_t>(axis_of(axis, rank));
  Sizes sizes = parts[0]->type.sizes;
  for (size_t i = 1; i < parts.size(); ++i) {
    sizes[at] = symbols().add(sizes[at], parts[i]->type.sizes[at]);
    for (size_t d = 0; d < rank; ++d) {
      const ir::Expr other = parts[i]->type.sizes[d];
      if (d != at && symbols().constant_value(other)) sizes[d] = other;
    }
  }
  return node("Concat", parts, {{"axis", static_cast<int64_t>(at)}},
              {parts[0]->type.dtype, std::move(sizes)});
}

Value* Builder::slice(Value* x, int64_t axis, ir::Expr start, ir::Expr end, int64_t step) {
  ir::Symbols& s = symbols();
  const ir::Expr size = size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  const auto clamp = [&](ir::Expr at) {
    const ir::Bounds bounds = s.bounds(at);
    if (s.constant_value(at) == INT64_MAX || s.less_equal(size, at) == true) return size;
    if (bounds.high < 0) return s.maximum(s.add(at, size), expr(0));
    if (s.less_equal(at, size) == true && bounds.low >= 0) return at;
    if (bounds.low >= 0) return s.minimum(at, size);
    return s.fresh("n", {0, ir::kUnbounded});
  };
  const ir::Expr from = clamp(start);
  const ir::Expr to = clamp(end);
  if (step == 1 && s.constant_value(from) == 0 && to == size) return x;
  ir::Expr count = s.ceil_divide(s.subtract(to, from), expr(step));
  if (s.bounds(count).low < 0) count = s.maximum(count, expr(0));
  Sizes sizes = x->type.sizes;
  sizes[static_cast<size_t>(axis)] = count;
  // Where the end is the size, the largest number says so without knowing it.
  Value* last = to == size ? integers({INT64_MAX}) : integer_1d(end);
  Value* first = integer_1d(start);
  Inputs inputs = {x, first, last, integers({axis})};
  if (step != 1) inputs.push_back(integers({step}));
  Value* out = node("Slice", std::move(inputs), {}, {x->type.dtype, std::move(sizes)});
  define_symbols(out);
  return out;
}

std::vector<Value*> Builder::split(Value* x, int64_t axis, const Sizes& parts) {
  if (parts.size() == 1) return {x};
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  std::vector<TensorType> types;
  for (const ir::Expr part : parts) {
    TensorType type = x->type;
    type.sizes[static_cast<size_t>(axis)] = part;
    types.push_back(std::move(type));
  }
  Value* list = integer_list(parts);
  return nodes("Split", {x, list}, {{"axis", axis}}, std::move(types));
}

Value* Builder::gather(Value* x, Value* indices, int64_t axis) {
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  Sizes sizes(x->type.sizes.begin(), x->type.sizes.begin() + axis);
  sizes.insert(sizes.end(), indices->type.sizes.begin(), indices->type.sizes.end());
  sizes.insert(sizes.end(), x->type.sizes.begin() + axis + 1, x->type.sizes.end());
  return node("Gather", {x, indices}, {{"axis", axis}}, {x->type.dtype, std::move(sizes)});
}

Value* Builder::select(Value* x, int64_t axis, ir::Expr index) {
  (void)size_of(x, axis);
  return gather(x, integer(index), axis);
}

Value* Builder::pad(Value* x, const Sizes& before, const Sizes& after, std::string_view mode,
                    Value* fill) {
  Sizes all = before;
  all.insert(all.end(), after.begin(), after.end());
  if (std::ranges::all_of(all, [&](ir::Expr one) { return symbols().constant_value(one) == 0; })) {
    return x;
  }
  Sizes sizes = x->type.sizes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = symbols().add(sizes[i], symbols().add(before[i], after[i]));
  }
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Pad", dtype);
  Value* list = integer_list(all);
  if (fill != nullptr) fill = cast(fill, computed);
  return cast(node("Pad", {cast(x, computed), list, fill}, {{"mode", std::string(mode)}},
                   {computed, std::move(sizes)}),
              dtype);
}

Value* Builder::tile(Value* x, const Sizes& repeats) {
  Sizes sizes = x->type.sizes;
  for (size_t i = 0; i < sizes.size(); ++i) sizes[i] = symbols().multiply(sizes[i], repeats[i]);
  if (sizes == x->type.sizes) return x;
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("Tile", dtype);
  Value* list = integer_list(repeats);
  return cast(node("Tile", {cast(x, computed), list}, {}, {computed, std::move(sizes)}), dtype);
}

Value* Builder::reduce(std::string_view op, Value* x, std::vector<int64_t> axes, bool keep) {
  const size_t rank = x->type.sizes.size();
  if (rank == 0) axes.clear();
  axes = normalized(std::move(axes), rank);
  if (axes.empty()) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), 0);
  }
  Sizes sizes;
  for (size_t i = 0; i < rank; ++i) {
    const bool gone = std::ranges::binary_search(axes, static_cast<int64_t>(i));
    if (!gone) sizes.push_back(x->type.sizes[i]);
    if (gone && keep) sizes.push_back(expr(1));
  }
  Attributes attributes = {{"keepdims", int64_t{keep}}};
  if (!axes.empty()) attributes.push_back({"axes", axes});
  const DType computed = kernel_dtype(op, x->type.dtype);
  return cast(node(op, {cast(x, computed)}, std::move(attributes), {computed, std::move(sizes)}),
              x->type.dtype);
}

Value* Builder::arg(std::string_view op, Value* x, int64_t axis, bool keep) {
  (void)size_of(x, axis);
  axis = axis_of(axis, x->type.sizes.size());
  Sizes sizes = x->type.sizes;
  if (keep) {
    sizes[static_cast<size_t>(axis)] = expr(1);
  } else {
    sizes.erase(sizes.begin() + axis);
  }
  return node(op, {cast(x, kernel_dtype(op, x->type.dtype))},
              {{"axis", axis}, {"keepdims", int64_t{keep}}}, {DType::i64, std::move(sizes)});
}

Value* Builder::softmax(Value* x, int64_t axis, std::string_view op) {
  const DType dtype = x->type.dtype;
  Value* in = cast(x, kernel_dtype(op, dtype));
  return cast(node(op, {in}, {{"axis", axis_of(axis, x->type.sizes.size())}}, in->type), dtype);
}

Value* Builder::matmul(Value* a, Value* b) {
  const Sizes& x = a->type.sizes;
  const Sizes& y = b->type.sizes;
  if (x.empty() || y.empty()) throw Unlowerable("a matrix product of a number");
  Sizes lead_a(x.begin(), x.end() - std::min<ptrdiff_t>(2, std::ssize(x)));
  Sizes lead_b(y.begin(), y.end() - std::min<ptrdiff_t>(2, std::ssize(y)));
  Sizes sizes = broadcast(lead_a, lead_b);
  if (x.size() >= 2) sizes.push_back(x[x.size() - 2]);
  if (y.size() >= 2) sizes.push_back(y.back());
  same_dtype("MatMul", a, b);
  // ONNX Runtime refuses batches of size 0.
  for (const ir::Expr size : sizes) {
    if (symbols().constant_value(size) == 0) return expand(number(0.0, a->type.dtype), sizes);
  }
  if (Value* simpler = scaled_product(*this, a, b)) return simpler;
  // Leading dimensions broadcast, so that a weight need not be repeated.
  for (Value** side : {&a, &b}) {
    const Value* other = *side == a ? b : a;
    if (!is_made_by(*side, "Expand")) continue;
    Value* source = (*side)->producer->inputs[0];
    if (source->type.sizes.size() < 2) continue;
    const Sizes lead(source->type.sizes.begin(), source->type.sizes.end() - 2);
    const Sizes& wide = other->type.sizes;
    if (wide.size() < 2 || source->type.sizes.back() != (*side)->type.sizes.back() ||
        size_of(source, -2) != size_of(*side, -2)) {
      continue;
    }
    Sizes all(sizes.begin(), sizes.end() - static_cast<ptrdiff_t>(x.size() >= 2) -
                                 static_cast<ptrdiff_t>(y.size() >= 2));
    if (broadcast(lead, Sizes(wide.begin(), wide.end() - 2)) == all) *side = source;
  }
  const DType computed = kernel_dtype("MatMul", a->type.dtype);
  return cast(
      node("MatMul", {cast(a, computed), cast(b, computed)}, {}, {computed, std::move(sizes)}),
      a->type.dtype);
}

Value* Builder::gemm(Value* a, Value* b, Value* c, bool transpose_b, double alpha, double beta) {
  Attributes attributes;
  if (alpha != 1) attributes.push_back({"alpha", static_cast<float>(alpha)});
  if (beta != 1 && c != nullptr) attributes.push_back({"beta", static_cast<float>(beta)});
  if (transpose_b) attributes.push_back({"transB", int64_t{1}});
  const DType dtype = a->type.dtype;
  const DType computed = kernel_dtype("Gemm", dtype);
  Inputs inputs = {cast(a, computed), cast(b, computed), c == nullptr ? c : cast(c, computed)};
  return cast(node("Gemm", std::move(inputs), std::move(attributes),
                   {computed, {size_of(a, 0), size_of(b, transpose_b ? 0 : 1)}}),
              dtype);
}

Value* Builder::range(Value* start, Value* step, ir::Expr count) {
  const DType dtype = start->type.dtype;
  Value* n = integer(count);
  Value* end = add(start, mul(cast(n, dtype), step));
  const DType computed = kernel_dtype("Range", dtype);
  return cast(node("Range", {cast(start, computed), cast(end, computed), cast(step, computed)}, {},
                   {computed, {count}}),
              dtype);
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
