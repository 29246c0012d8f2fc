#include "mlc/passes/view_ops.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mlc::passes {
namespace {

using ir::Argument;
using ir::Expr;
using ir::Graph;
using ir::Node;
using ir::TensorType;
using ir::Value;

struct Put {
  Graph& graph;
  Node* place;
  const Node& view;
  size_t output;
  Value* before;
  Value* part;

  Value* make(std::string_view op, std::string_view overload, std::vector<Argument> arguments,
              TensorType type) const {
    Node* node = graph.insert_before(place, {"aten", std::string(op), std::string(overload)},
                                     std::move(arguments), {std::move(type)}, view.origin());
    return node->output(0);
  }
  const TensorType& before_type() const { return *before->tensor(); }
  /// The arguments of the view behind the first, to be repeated.
  std::vector<Argument> rest() const {
    return {view.arguments().begin() + 1, view.arguments().end()};
  }
  std::vector<Argument> with_rest() const {
    std::vector<Argument> out = {{"self", before}, {"src", part}};
    for (const Argument& one : rest()) out.push_back(one);
    return out;
  }
};

using PutBack = Value* (*)(const Put&);

Value* same(const Put& p) {
  return p.part;
}

Value* reshaped(const Put& p) {
  if (!p.before_type().sizes) return nullptr;
  return p.make("reshape", "", {{"self", p.part}, {"shape", *p.before_type().sizes}},
                p.before_type());
}

Value* swapped(const Put& p) {
  std::vector<Argument> arguments = {{"self", p.part}};
  for (const Argument& one : p.rest()) arguments.push_back(one);
  return p.make(p.view.op().name, p.view.op().overload, std::move(arguments), p.before_type());
}

Value* unpermuted(const Put& p) {
  const auto* dims = p.view.find("dims");
  const auto* list = dims == nullptr ? nullptr : std::get_if<std::vector<Expr>>(dims);
  if (list == nullptr) return nullptr;
  ir::Symbols& symbols = p.graph.symbols();
  std::vector<Expr> inverse(list->size(), symbols.constant(0));
  for (size_t i = 0; i < list->size(); ++i) {
    const auto at = symbols.constant_value((*list)[i]);
    const auto rank = static_cast<int64_t>(list->size());
    if (!at || *at < -rank || *at >= rank) return nullptr;
    inverse[static_cast<size_t>(*at < 0 ? *at + rank : *at)] =
        symbols.constant(static_cast<int64_t>(i));
  }
  return p.make("permute", "", {{"self", p.part}, {"dims", inverse}}, p.before_type());
}

Value* slice_scattered(const Put& p) {
  return p.make("slice_scatter", "", p.with_rest(), p.before_type());
}
Value* select_scattered(const Put& p) {
  return p.make("select_scatter", "", p.with_rest(), p.before_type());
}
Value* diagonal_scattered(const Put& p) {
  return p.make("diagonal_scatter", "", p.with_rest(), p.before_type());
}

Value* narrowed(const Put& p) {
  const auto* dim = p.view.find("dim");
  const auto* start = p.view.find("start");
  const auto* length = p.view.find("length");
  if (dim == nullptr || start == nullptr || length == nullptr) return nullptr;
  const auto* from = std::get_if<Expr>(start);
  const auto* count = std::get_if<Expr>(length);
  if (from == nullptr || count == nullptr) return nullptr;
  const Expr end = p.graph.symbols().add(*from, *count);
  return p.make(
      "slice_scatter", "",
      {{"self", p.before}, {"src", p.part}, {"dim", *dim}, {"start", *from}, {"end", end}},
      p.before_type());
}

/// The axis of split, chunk and unbind; absent where it is no known number.
std::optional<size_t> axis_of(const Put& p) {
  const auto* dim = p.view.find("dim");
  int64_t at = 0;
  if (dim != nullptr) {
    const auto* expr = std::get_if<Expr>(dim);
    const auto known = expr == nullptr ? std::nullopt : p.graph.symbols().constant_value(*expr);
    if (!known) return std::nullopt;
    at = *known;
  }
  if (!p.before_type().sizes) return std::nullopt;
  const auto rank = static_cast<int64_t>(p.before_type().sizes->size());
  if (at < -rank || at >= rank) return std::nullopt;
  return static_cast<size_t>(at < 0 ? at + rank : at);
}

Value* piece_put(const Put& p) {
  const auto axis = axis_of(p);
  if (!axis) return nullptr;
  ir::Symbols& symbols = p.graph.symbols();
  const Expr dim = symbols.constant(static_cast<int64_t>(*axis));
  if (p.view.op().name == "unbind") {
    return p.make("select_scatter", "",
                  {{"self", p.before},
                   {"src", p.part},
                   {"dim", dim},
                   {"index", symbols.constant(static_cast<int64_t>(p.output))}},
                  p.before_type());
  }
  Expr start = symbols.constant(0);
  Expr end = start;
  for (size_t i = 0; i <= p.output; ++i) {
    const TensorType* piece = p.view.output(i)->tensor();
    if (piece == nullptr || !piece->sizes || *axis >= piece->sizes->size()) return nullptr;
    start = end;
    end = symbols.add(end, (*piece->sizes)[*axis]);
  }
  return p.make("slice_scatter", "",
                {{"self", p.before}, {"src", p.part}, {"dim", dim}, {"start", start}, {"end", end}},
                p.before_type());
}

struct Row {
  std::string_view name;
  ViewKind kind;
  PutBack put;
};

constexpr Row kRows[] = {
    {"_unsafe_view", ViewKind::view, reshaped},
    {"alias", ViewKind::view, same},
    {"chunk", ViewKind::view, piece_put},
    {"contiguous", ViewKind::maybe, same},
    {"detach", ViewKind::view, same},
    {"diagonal", ViewKind::view, diagonal_scattered},
    {"expand", ViewKind::view, nullptr},
    {"expand_as", ViewKind::view, nullptr},
    {"flatten", ViewKind::maybe, reshaped},
    {"lift_fresh", ViewKind::view, same},
    {"mT", ViewKind::view, swapped},
    {"movedim", ViewKind::view, nullptr},
    {"narrow", ViewKind::view, narrowed},
    {"numpy_T", ViewKind::view, swapped},
    {"permute", ViewKind::view, unpermuted},
    {"ravel", ViewKind::maybe, reshaped},
    {"requires_grad_", ViewKind::view, same},
    {"reshape", ViewKind::maybe, reshaped},
    {"reshape_as", ViewKind::maybe, reshaped},
    {"select", ViewKind::view, select_scattered},
    {"slice", ViewKind::view, slice_scattered},
    {"split", ViewKind::view, piece_put},
    {"split_with_sizes", ViewKind::view, piece_put},
    {"squeeze", ViewKind::view, reshaped},
    {"swapaxes", ViewKind::view, swapped},
    {"t", ViewKind::view, swapped},
    {"tensor_split", ViewKind::view, piece_put},
    {"to", ViewKind::maybe, same},
    {"transpose", ViewKind::view, swapped},
    {"type_as", ViewKind::maybe, same},
    {"unbind", ViewKind::view, piece_put},
    {"unflatten", ViewKind::view, reshaped},
    {"unfold", ViewKind::view, nullptr},
    {"unsafe_chunk", ViewKind::view, piece_put},
    {"unsqueeze", ViewKind::view, reshaped},
    {"as_strided", ViewKind::view, nullptr},
    {"view", ViewKind::view, reshaped},
    {"view_as", ViewKind::view, reshaped},
};

const Row* row_of(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &Row::name);
  return found == std::end(kRows) ? nullptr : found;
}

/// Whether VALUE is an expanded tensor in which one element stands at several places.
bool repeats(const Value& value, const ir::Symbols& symbols) {
  const Node* node = value.producer();
  if (node == nullptr || node->op().domain != "aten" || !node->op().name.starts_with("expand")) {
    return false;
  }
  const Value* from = viewed(*node);
  if (from == nullptr || from->tensor() == nullptr || !from->tensor()->sizes ||
      !value.tensor()->sizes) {
    return false;
  }
  const std::vector<Expr>& before = *from->tensor()->sizes;
  const std::vector<Expr>& after = *value.tensor()->sizes;
  const size_t added = after.size() - before.size();
  for (size_t i = 0; i < after.size(); ++i) {
    const bool one = i < added || symbols.constant_value(before[i - added]) == 1;
    if (one && symbols.bounds(after[i]).low > 1) return true;
  }
  return false;
}

}  // namespace

ViewKind view_kind(const ir::OpName& op) {
  const Row* row = op.domain == "aten" ? row_of(op.name) : nullptr;
  return row == nullptr ? ViewKind::none : row->kind;
}

bool always_copies(const ir::Node& node, const ir::Symbols& symbols) {
  const Value* self = viewed(node);
  const TensorType* from = self == nullptr ? nullptr : self->tensor();
  const TensorType* to = node.outputs().empty() ? nullptr : node.output(0)->tensor();
  if (from == nullptr || to == nullptr) return false;
  if (from->dtype && to->dtype && from->dtype != to->dtype) return true;
  const ir::Attribute* copy = node.find("copy");
  if (copy != nullptr && *copy == ir::Attribute(true)) return true;
  return node.op().name == "contiguous" && repeats(*self, symbols);
}

ir::Value* viewed(const ir::Node& node) {
  const ir::Attribute* self = node.find("self");
  if (self == nullptr && !node.arguments().empty()) self = &node.arguments().front().value;
  const auto* value = self == nullptr ? nullptr : std::get_if<ir::Value*>(self);
  return value == nullptr ? nullptr : *value;
}

bool is_shape_write(const ir::OpName& op) {
  constexpr std::array<std::string_view, 9> kNames = {"unsqueeze_", "squeeze_",  "t_",
                                                      "transpose_", "swapaxes_", "swapdims_",
                                                      "detach_",    "view_",     "permute_"};
  return op.domain == "aten" && std::ranges::find(kNames, op.name) != kNames.end();
}

Result<ir::Value*> put_back(ir::Graph& graph, ir::Node* place, const ir::Node& view, size_t output,
                            ir::Value* before, ir::Value* part) {
  const Row* row = row_of(view.op().name);
  Value* made = nullptr;
  if (row != nullptr && row->put != nullptr) {
    made = row->put({graph, place, view, output, before, part});
  }
  if (made == nullptr) {
    return unsupported("a write through " + to_text(view.op()) + " cannot be followed");
  }
  return made;
}

}  // namespace mlc::passes
