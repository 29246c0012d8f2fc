// The text form of a graph. One line a node; names and texts that are no words are quoted.
#include "mlc/ir/graph.h"
#include "mlc/ir/text_syntax.h"

#include <cmath>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

class Printer {
 public:
  explicit Printer(const Symbols& symbols) : symbols_(symbols) {}

  std::string graph(const Graph& graph);
  void node(const Node& node);
  std::string take() { return std::move(out_); }

 private:
  void line(std::string_view text) {
    out_.append(2 * depth_, ' ');
    out_ += text;
    out_ += '\n';
  }
  void block(const Block& block);
  std::string arguments(const std::vector<Argument>& arguments) const;
  std::string attribute(const Attribute& value) const;
  std::string type(const Type& type) const;
  std::string declared(const Value& value) const {
    return value_text(value.name()) + ": " + type(value.type());
  }
  template <class List, class Print>
  std::string list(const List& items, Print print) const {
    std::string out = "[";
    for (const auto& item : items) {
      if (out.size() > 1) out += ", ";
      out += print(item);
    }
    return out + "]";
  }

  const Symbols& symbols_;
  std::string out_;
  size_t depth_ = 0;
};

std::string Printer::type(const Type& type) const {
  if (const auto* scalar = std::get_if<ScalarType>(&type)) {
    std::string out(scalar_name(scalar->kind));
    if (scalar->value) out += "(" + symbols_.text(*scalar->value) + ")";
    return out;
  }
  const auto& tensor = std::get<TensorType>(type);
  std::string out(tensor.dtype ? info(*tensor.dtype).brief : "?");
  if (!tensor.sizes) return out;
  return out + list(*tensor.sizes, [&](Expr size) { return symbols_.text(size); });
}

struct AttributeText {
  std::string operator()(None) const { return "none"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(double value) const { return number_text(value); }
  std::string operator()(const std::string& value) const { return string_text(value); }
  std::string operator()(DType value) const { return fmt::format("dtype({})", info(value).brief); }
  std::string operator()(const Device& value) const {
    return "device(" + string_text(value.name) + ")";
  }
  std::string operator()(const Layout& value) const {
    return "layout(" + string_text(value.name) + ")";
  }
  std::string operator()(const MemoryFormat& value) const {
    return "memory_format(" + string_text(value.name) + ")";
  }
  std::string operator()(const Value* value) const {
    return value == nullptr ? "none" : value_text(value->name());
  }
};

std::string Printer::attribute(const Attribute& value) const {
  const auto expression = [&](Expr one) { return symbols_.text(one); };
  if (const auto* one = std::get_if<Expr>(&value)) return expression(*one);
  if (const auto* many = std::get_if<std::vector<Expr>>(&value)) return list(*many, expression);
  const auto print = [&](const auto& one) -> std::string {
    using T = std::decay_t<decltype(one)>;
    if constexpr (std::is_same_v<T, std::vector<bool>>) {
      return list(one, [](bool item) { return AttributeText{}(item); });
    } else if constexpr (std::is_same_v<T, std::vector<double>> ||
                         std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, Values>) {
      return list(one, AttributeText{});
    } else if constexpr (std::is_same_v<T, Expr> || std::is_same_v<T, std::vector<Expr>>) {
      return {};  // above
    } else {
      return AttributeText{}(one);
    }
  };
  return std::visit(print, value);
}

std::string Printer::arguments(const std::vector<Argument>& arguments) const {
  std::string out;
  for (const Argument& argument : arguments) {
    if (!out.empty()) out += ", ";
    out += word_text(argument.name) + "=" + attribute(argument.value);
  }
  return out;
}

void Printer::node(const Node& node) {
  std::string text;
  for (const Value* output : node.outputs()) {
    if (!text.empty()) text += ", ";
    text += declared(*output);
  }
  if (!text.empty()) text += " = ";
  text += fmt::format("{}({})", to_text(node.op()), arguments(node.arguments()));
  if (!node.origin().scope.empty() || !node.origin().text.empty()) {
    text += " @ " + string_text(node.origin().scope);
  }
  if (!node.origin().text.empty()) text += " " + string_text(node.origin().text);
  if (node.blocks().empty()) return line(text);
  line(text + " {");
  for (size_t i = 0; i < node.blocks().size(); ++i) {
    if (i > 0) line("} {");
    ++depth_;
    block(*node.blocks()[i]);
    --depth_;
  }
  line("}");
}

void Printer::block(const Block& block) {
  for (const Value* input : block.inputs()) line("given " + declared(*input));
  for (const Node* one : block.nodes()) node(*one);
  const std::string results = arguments(block.results()->arguments());
  line(results.empty() ? "return" : "return " + results);
}

std::string bound(int64_t value) {
  return value == kUnbounded || value == -kUnbounded ? "" : std::to_string(value);
}

std::string Printer::graph(const Graph& graph) {
  line("graph " + string_text(graph.name()) + " {");
  ++depth_;
  for (const Symbol& symbol : symbols_.all()) {
    line(fmt::format("symbol {} in {}..{}", symbol.name, bound(symbol.bounds.low),
                     bound(symbol.bounds.high)));
  }
  for (const Value* input : graph.inputs()) line("input " + declared(*input));
  for (const Value* weight : graph.weights()) {
    line(fmt::format("{} {}", weight_word(weight->kind()), declared(*weight)));
  }
  for (const Node* one : graph.body().nodes()) node(*one);
  const std::string results = arguments(graph.body().results()->arguments());
  line(results.empty() ? "return" : "return " + results);
  --depth_;
  line("}");
  return take();
}

}  // namespace

std::string to_text(const Graph& graph) {
  return Printer(graph.symbols()).graph(graph);
}

std::string to_text(const Graph& graph, const Node& node) {
  Printer printer(graph.symbols());
  printer.node(node);
  return printer.take();
}

}  // namespace mlc::ir
