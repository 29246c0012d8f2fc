#include "mlc/ir/substitute.h"

#include <map>
#include <variant>

namespace mlc::ir {
namespace {

/// Makes an expression again, with another one for a symbol.
class Substitution {
 public:
  Substitution(Symbols& symbols, Expr from, Expr to) : symbols_(symbols), from_(from), to_(to) {}

  Expr operator()(Expr expr) {
    const auto [known, is_new] = known_.try_emplace(expr.id, expr);
    if (is_new) known->second = symbols_.build<Expr>(expr, *this);
    return known->second;
  }

  Expr constant(int64_t value) { return symbols_.constant(value); }
  Expr symbol(size_t index) {
    const Expr own = *symbols_.find(symbols_.all()[index].name);
    return own == from_ ? to_ : own;
  }
  Expr add(Expr a, Expr b) { return symbols_.add(a, b); }
  Expr multiply(Expr a, Expr b) { return symbols_.multiply(a, b); }
  Expr floor_divide(Expr a, Expr b) { return symbols_.floor_divide(a, b); }
  Expr minimum(Expr a, Expr b) { return symbols_.minimum(a, b); }
  Expr maximum(Expr a, Expr b) { return symbols_.maximum(a, b); }
  Expr rounded(const RealSteps& steps, const std::vector<Expr>& operands) {
    return symbols_.rounded({steps, operands});
  }

 private:
  Symbols& symbols_;
  Expr from_, to_;
  std::map<uint32_t, Expr> known_;
};

void retype(Graph& graph, Value* value, Substitution& in) {
  Type type = value->type();
  if (auto* tensor = std::get_if<TensorType>(&type)) {
    if (!tensor->sizes) return;
    for (Expr& size : *tensor->sizes) size = in(size);
  } else if (auto& scalar = std::get<ScalarType>(type); scalar.value) {
    scalar.value = in(*scalar.value);
  }
  graph.set_type(value, std::move(type));
}

void rewrite(Graph& graph, Node* node, Substitution& in) {
  for (size_t i = 0; i < node->arguments().size(); ++i) {
    Attribute value = node->arguments()[i].value;
    if (auto* expr = std::get_if<Expr>(&value)) {
      *expr = in(*expr);
    } else if (auto* list = std::get_if<std::vector<Expr>>(&value)) {
      for (Expr& item : *list) item = in(item);
    } else {
      continue;
    }
    graph.set_argument(node, i, std::move(value));
  }
  for (Value* output : node->outputs()) retype(graph, output, in);
}

void rewrite(Graph& graph, const Block& block, Substitution& in) {
  for (Value* input : block.inputs()) retype(graph, input, in);
  for (Node* node : block.nodes()) {
    rewrite(graph, node, in);
    for (const auto& inner : node->blocks()) rewrite(graph, *inner, in);
  }
  rewrite(graph, block.results(), in);
}

}  // namespace

void substitute(Graph& graph, Expr from, Expr to) {
  Substitution in(graph.symbols(), from, to);
  for (Value* weight : graph.weights()) retype(graph, weight, in);
  rewrite(graph, graph.body(), in);
}

}  // namespace mlc::ir
