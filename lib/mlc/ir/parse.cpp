// Reads the text form of graphs; print.cpp writes it.
#include "mlc/base/text.h"
#include "mlc/ir/expression_parser.h"
#include "mlc/ir/graph.h"
#include "mlc/ir/scanner.h"
#include "mlc/ir/text_syntax.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

constexpr int kMaxBlockDepth = 32;

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : scanner_(text, file), graph_("") {}

  Result<Graph> parse();

 private:
  Status declarations();
  Status symbol();
  Result<std::string> new_name();
  Result<Type> declared_type();
  Result<Type> type();
  Result<std::vector<Expr>> sizes();
  Status block(Block& block);
  Status node(Block& block);
  Status blocks(Node* node);
  Status results(Block& block);
  Result<OpName> op();
  Result<Origin> origin();
  Result<std::vector<Argument>> arguments();
  Result<std::string> argument_name();
  Result<Attribute> attribute();
  Result<Attribute> list();
  Result<Attribute> named(std::string_view word);
  Result<Value*> value();
  Result<std::string> string();
  bool is_number();
  Result<double> number();
  template <class T, class Read>
  Result<Attribute> items(Read read);

  Scanner scanner_;
  Graph graph_;
  int depth_ = 0;
};

Result<Graph> Parser::parse() {
  if (!scanner_.is_word("graph")) return scanner_.unexpected("\"graph\"");
  scanner_.take();
  MLC_TRY(std::string name, string());
  graph_ = Graph(std::move(name));
  MLC_CHECK(scanner_.expect("{"));
  MLC_CHECK(declarations());
  MLC_CHECK(block(graph_.body()));
  MLC_CHECK(scanner_.expect("}"));
  if (scanner_.peek().kind != TokenKind::end) return scanner_.unexpected("the end");
  MLC_CHECK(verify(graph_));
  return std::move(graph_);
}

Status Parser::declarations() {
  while (scanner_.peek().kind == TokenKind::word) {
    const auto weight = weight_from_word(scanner_.peek().text);
    if (scanner_.is_word("symbol")) {
      MLC_CHECK(symbol());
    } else if (scanner_.is_word("input")) {
      scanner_.take();
      MLC_TRY(const std::string name, new_name());
      MLC_TRY(Type type, declared_type());
      graph_.add_input(name, std::move(type));
    } else if (weight) {
      const Token word = scanner_.take();
      MLC_TRY(const std::string name, new_name());
      MLC_TRY(const Type type, declared_type());
      const auto* tensor = std::get_if<TensorType>(&type);
      if (tensor == nullptr) return scanner_.error(word, "only tensors can be weights");
      graph_.add_weight(*weight, name, *tensor);
    } else {
      return {};
    }
  }
  return {};
}

// symbol batch in 1..1024
Status Parser::symbol() {
  scanner_.take();
  const Token at = scanner_.peek();
  MLC_TRY(const std::string name, scanner_.expect_word("a name"));
  if (!is_symbol_name(name) || graph_.symbols().find(name)) {
    return scanner_.error(at, "this name is taken or no name of a symbol");
  }
  if (!scanner_.is_word("in")) return scanner_.unexpected("\"in\"");
  scanner_.take();
  Bounds bounds;
  const auto has_bound = [&] {
    return scanner_.peek().kind == TokenKind::integer || scanner_.is_sign("-");
  };
  if (has_bound()) {
    MLC_TRY(bounds.low, scanner_.expect_integer());
  }
  MLC_CHECK(scanner_.expect("."));
  MLC_CHECK(scanner_.expect("."));
  if (has_bound()) {
    MLC_TRY(bounds.high, scanner_.expect_integer());
  }
  if (bounds.low < -kUnbounded || bounds.low > bounds.high) {
    return scanner_.error(at, "the bounds of this symbol leave it no value");
  }
  graph_.symbols().symbol(name, bounds);
  return {};
}

Result<std::string> Parser::new_name() {
  if (scanner_.peek().kind != TokenKind::value) return scanner_.unexpected("\"%\" and a name");
  const Token token = scanner_.take();
  if (token.text.empty()) return scanner_.error(token, "this value has no name");
  if (graph_.find(token.text) != nullptr) {
    return scanner_.error(token, fmt::format("%{} is defined already", printable(token.text)));
  }
  return token.text;
}

Result<Type> Parser::declared_type() {
  MLC_CHECK(scanner_.expect(":"));
  return type();
}

// f32[batch, 3], ?[2], f32, ?, int, int(batch), boolean
Result<Type> Parser::type() {
  TensorType tensor;
  if (!scanner_.accept("?")) {
    const Token at = scanner_.peek();
    MLC_TRY(const std::string word, scanner_.expect_word("a type"));
    if (const auto scalar = scalar_from_name(word)) {
      ScalarType out{*scalar, std::nullopt};
      if (*scalar == ScalarKind::integer && scanner_.accept("(")) {
        MLC_TRY(out.value, parse_expression(scanner_, graph_.symbols()));
        MLC_CHECK(scanner_.expect(")"));
      }
      return Type(out);
    }
    tensor.dtype = dtype_from_brief(word);
    if (!tensor.dtype) return scanner_.error(at, "there is no type " + quoted(word, 40));
  }
  if (scanner_.accept("[")) {
    MLC_TRY(tensor.sizes, sizes());
  }
  return Type(tensor);
}

Result<std::vector<Expr>> Parser::sizes() {
  std::vector<Expr> out;
  if (scanner_.accept("]")) return out;
  do {
    MLC_TRY(const Expr size, parse_expression(scanner_, graph_.symbols()));
    out.push_back(size);
  } while (scanner_.accept(","));
  MLC_CHECK(scanner_.expect("]"));
  return out;
}

Status Parser::block(Block& block) {
  while (scanner_.is_word("given")) {
    scanner_.take();
    MLC_TRY(const std::string name, new_name());
    MLC_TRY(Type type, declared_type());
    graph_.add_block_input(block, name, std::move(type));
  }
  while (!scanner_.is_word("return")) MLC_CHECK(node(block));
  scanner_.take();
  return results(block);
}

Status Parser::results(Block& block) {
  std::vector<Argument> out;
  while (!scanner_.is_sign("}")) {
    if (!out.empty()) MLC_CHECK(scanner_.expect(","));
    MLC_TRY(std::string name, argument_name());
    MLC_TRY(Attribute value, attribute());
    out.push_back({std::move(name), std::move(value)});
  }
  graph_.set_results(block, std::move(out));
  return {};
}

// %0: f32[batch, 10], %1: i64 = aten::op.Overload(self=%x) @ "scope" "model.py:12" { ... } { ... }
Status Parser::node(Block& block) {
  std::vector<Output> outputs;
  if (scanner_.peek().kind == TokenKind::value) {
    do {
      const Token at = scanner_.peek();
      MLC_TRY(std::string name, new_name());
      for (const Output& other : outputs) {
        if (other.name == name) return scanner_.error(at, "this name is given twice");
      }
      MLC_TRY(Type one, declared_type());
      outputs.emplace_back(std::move(one), std::move(name));
    } while (scanner_.accept(","));
    MLC_CHECK(scanner_.expect("="));
  }
  MLC_TRY(OpName op_name, op());
  MLC_CHECK(scanner_.expect("("));
  MLC_TRY(std::vector<Argument> given, arguments());
  MLC_TRY(Origin from, origin());
  Node* made = graph_.append(block, std::move(op_name), std::move(given), std::move(outputs),
                             std::move(from));
  return blocks(made);
}

Status Parser::blocks(Node* node) {
  if (!scanner_.is_sign("{")) return {};
  if (++depth_ > kMaxBlockDepth) return scanner_.error(scanner_.peek(), "this is nested too deep");
  while (scanner_.accept("{")) {
    MLC_CHECK(block(graph_.add_block(node)));
    MLC_CHECK(scanner_.expect("}"));
  }
  --depth_;
  return {};
}

Result<OpName> Parser::op() {
  const Token at = scanner_.peek();
  MLC_TRY(std::string text, scanner_.expect_word("an operator"));
  MLC_CHECK(scanner_.expect(":"));
  MLC_CHECK(scanner_.expect(":"));
  MLC_TRY(const std::string rest, scanner_.expect_word("an operator"));
  text += "::" + rest;
  auto out = op_name(text);
  if (!out) return scanner_.error(at, quoted(text, 60) + " is no name of an operator");
  return std::move(*out);
}

Result<Origin> Parser::origin() {
  Origin out;
  if (!scanner_.accept("@")) return out;
  MLC_TRY(out.scope, string());
  if (scanner_.peek().kind == TokenKind::string) out.text = scanner_.take().text;
  return out;
}

// Behind "(", up to ")".
Result<std::vector<Argument>> Parser::arguments() {
  std::vector<Argument> out;
  if (scanner_.accept(")")) return out;
  do {
    MLC_TRY(std::string name, argument_name());
    MLC_TRY(Attribute value, attribute());
    out.push_back({std::move(name), std::move(value)});
  } while (scanner_.accept(","));
  MLC_CHECK(scanner_.expect(")"));
  return out;
}

// A word or a string, and "=".
Result<std::string> Parser::argument_name() {
  const TokenKind kind = scanner_.peek().kind;
  if (kind != TokenKind::word && kind != TokenKind::string) {
    return scanner_.unexpected("the name of an argument");
  }
  std::string name = scanner_.take().text;
  MLC_CHECK(scanner_.expect("="));
  return name;
}

Result<Value*> Parser::value() {
  const Token token = scanner_.take();
  Value* found = graph_.find(token.text);
  if (found == nullptr) {
    return scanner_.error(token, fmt::format("%{} is not defined", printable(token.text)));
  }
  return found;
}

Result<std::string> Parser::string() {
  if (scanner_.peek().kind != TokenKind::string) return scanner_.unexpected("text in quotes");
  return scanner_.take().text;
}

bool Parser::is_number() {
  return scanner_.peek().kind == TokenKind::number || scanner_.is_word("inf") ||
         scanner_.is_word("nan") || scanner_.is_negative_number();
}

// 0.5, -1e-05, inf, -inf, nan
Result<double> Parser::number() {
  const double sign = scanner_.accept("-") ? -1.0 : 1.0;
  const Token token = scanner_.take();
  if (token.text == "inf") return sign * std::numeric_limits<double>::infinity();
  if (token.text == "nan") return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  const char* const begin = token.text.data();
  const auto [end, problem] = std::from_chars(begin, begin + token.text.size(), value);
  if (token.kind != TokenKind::number || problem != std::errc{}) {
    return scanner_.error(token, "this number does not fit a double");
  }
  return sign * value;
}

Result<Attribute> Parser::attribute() {
  const Token& token = scanner_.peek();
  if (token.kind == TokenKind::value) {
    MLC_TRY(Value* const one, value());
    return Attribute(one);
  }
  if (token.kind == TokenKind::string) return Attribute(scanner_.take().text);
  if (scanner_.accept("[")) return list();
  if (is_number()) {
    MLC_TRY(const double one, number());
    return Attribute(one);
  }
  if (token.kind == TokenKind::word) {
    const std::string word = token.text;
    MLC_TRY(Attribute one, named(word));
    return one;
  }
  MLC_TRY(const Expr one, parse_expression(scanner_, graph_.symbols()));
  return Attribute(one);
}

// none, true, dtype(f32), device("cpu"); everything else is an expression.
Result<Attribute> Parser::named(std::string_view word) {
  if (word == "none" || word == "true" || word == "false") {
    scanner_.take();
    return word == "none" ? Attribute(None{}) : Attribute(word == "true");
  }
  const bool is_call = scanner_.is_followed_by('(');
  if (is_call && word == "dtype") {
    scanner_.take(), scanner_.take();
    const Token at = scanner_.peek();
    MLC_TRY(const std::string name, scanner_.expect_word("a type"));
    const auto dtype = dtype_from_brief(name);
    if (!dtype) return scanner_.error(at, "there is no type " + quoted(name, 40));
    MLC_CHECK(scanner_.expect(")"));
    return Attribute(*dtype);
  }
  if (is_call && (word == "device" || word == "layout" || word == "memory_format")) {
    scanner_.take(), scanner_.take();
    MLC_TRY(std::string name, string());
    MLC_CHECK(scanner_.expect(")"));
    if (word == "device") return Attribute(Device{std::move(name)});
    if (word == "layout") return Attribute(Layout{std::move(name)});
    return Attribute(MemoryFormat{std::move(name)});
  }
  MLC_TRY(const Expr one, parse_expression(scanner_, graph_.symbols()));
  return Attribute(one);
}

template <class T, class Read>
Result<Attribute> Parser::items(Read read) {
  std::vector<T> out;
  do {
    MLC_TRY(T one, read());
    out.push_back(std::move(one));
  } while (scanner_.accept(","));
  MLC_CHECK(scanner_.expect("]"));
  return Attribute(std::move(out));
}

// Behind "[". The first item says what the others must be.
Result<Attribute> Parser::list() {
  if (scanner_.accept("]")) return Attribute(std::vector<Expr>{});
  const TokenKind kind = scanner_.peek().kind;
  if (kind == TokenKind::value || scanner_.is_word("none")) {
    return items<Value*>([&]() -> Result<Value*> {
      if (scanner_.is_word("none")) return scanner_.take(), static_cast<Value*>(nullptr);
      if (scanner_.peek().kind != TokenKind::value) return scanner_.unexpected("a value or none");
      return value();
    });
  }
  if (kind == TokenKind::string) return items<std::string>([&] { return string(); });
  if (scanner_.is_word("true") || scanner_.is_word("false")) {
    return items<bool>([&]() -> Result<bool> {
      const bool is_bool = scanner_.is_word("true") || scanner_.is_word("false");
      if (!is_bool) return scanner_.unexpected("true or false");
      return scanner_.take().text == "true";
    });
  }
  if (is_number()) {
    return items<double>([&]() -> Result<double> {
      if (!is_number()) return scanner_.unexpected("a number with a fraction");
      return number();
    });
  }
  return items<Expr>([&] { return parse_expression(scanner_, graph_.symbols()); });
}

}  // namespace

Result<Graph> parse(std::string_view text, const std::string& file) {
  return Parser(text, file).parse();
}

}  // namespace mlc::ir
