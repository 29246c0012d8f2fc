#include "mlc/frontend/sympy_text.h"

#include "mlc/base/text.h"

#include <charconv>
#include <string>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using ir::Expr;
using ir::Symbols;
using Maybe = std::optional<Expr>;

constexpr int kMaxDepth = 100;
constexpr int64_t kMostPower = 8;

using Combine = Expr (Symbols::*)(Expr, Expr);
struct Row {
  std::string_view head;
  Combine combine;
  bool many;  // takes any number of arguments, from the left
};
constexpr Row kHeads[] = {
    {"Add", &Symbols::add, true},
    {"Mul", &Symbols::multiply, true},
    {"Max", &Symbols::maximum, true},
    {"Min", &Symbols::minimum, true},
    {"FloorDiv", &Symbols::floor_divide, false},
    {"CleanDiv", &Symbols::floor_divide, false},
    {"CeilDiv", &Symbols::ceil_divide, false},
    {"Mod", &Symbols::remainder, false},
    {"PythonMod", &Symbols::remainder, false},
};

class SympyParser {
 public:
  SympyParser(std::string_view text, Symbols& symbols,
              const std::function<Result<Expr>(std::string_view)>& symbol)
      : text_(text), symbols_(symbols), symbol_(symbol) {}

  Result<Maybe> run() {
    MLC_TRY(const Maybe out, term());
    skip_spaces();
    if (at_ != text_.size()) return wrong();
    return out;
  }

 private:
  Error wrong() const {
    return corrupt("the size " + quoted(text_, 80) + " cannot be read at character " +
                   std::to_string(at_ + 1));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string_view word() {
    skip_spaces();
    const size_t start = at_;
    while (at_ < text_.size() &&
           (text_[at_] == '_' || text_[at_] == '.' || (text_[at_] >= '0' && text_[at_] <= '9') ||
            (text_[at_] >= 'a' && text_[at_] <= 'z') || (text_[at_] >= 'A' && text_[at_] <= 'Z'))) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  Result<Maybe> term();
  Result<Maybe> number();
  Result<Maybe> symbol_term();
  Result<Maybe> call(std::string_view head);
  Maybe apply(std::string_view head, const std::vector<Maybe>& arguments);
  Maybe power(Expr base, Expr exponent);

  std::string_view text_;
  Symbols& symbols_;
  const std::function<Result<Expr>(std::string_view)>& symbol_;
  size_t at_ = 0;
  int depth_ = 0;
};

Result<Maybe> SympyParser::number() {
  const size_t start = at_;
  if (at_ < text_.size() && text_[at_] == '-') ++at_;
  int64_t value = 0;
  const auto [end, problem] =
      std::from_chars(text_.data() + start, text_.data() + text_.size(), value);
  if (problem != std::errc{}) return wrong();
  at_ = static_cast<size_t>(end - text_.data());
  return Maybe(symbols_.constant(value));
}

// Behind "Symbol(": 's77', positive=True, integer=True)
Result<Maybe> SympyParser::symbol_term() {
  if (!accept('\'')) return wrong();
  const size_t end = text_.find('\'', at_);
  if (end == text_.npos) return wrong();
  const std::string_view name = text_.substr(at_, end - at_);
  at_ = end + 1;
  while (accept(',')) {
    word();
    if (!accept('=') || word().empty()) return wrong();
  }
  if (!accept(')')) return wrong();
  MLC_TRY(const Expr out, symbol_(name));
  return Maybe(out);
}

Maybe SympyParser::power(Expr base, Expr exponent) {
  const auto times = symbols_.constant_value(exponent);
  if (!times || *times < 0 || *times > kMostPower) return std::nullopt;
  Expr out = symbols_.constant(1);
  for (int64_t i = 0; i < *times; ++i) out = symbols_.multiply(out, base);
  return out;
}

Maybe SympyParser::apply(std::string_view head, const std::vector<Maybe>& arguments) {
  for (const Maybe& argument : arguments) {
    if (!argument) return std::nullopt;
  }
  if (head == "Integer" && arguments.size() == 1) return arguments[0];
  if (head == "Pow" && arguments.size() == 2) return power(*arguments[0], *arguments[1]);
  for (const Row& row : kHeads) {
    if (row.head != head || arguments.empty()) continue;
    if (!row.many && arguments.size() != 2) return std::nullopt;
    Expr out = *arguments[0];
    for (size_t i = 1; i < arguments.size(); ++i) {
      out = (symbols_.*row.combine)(out, *arguments[i]);
    }
    return out;
  }
  return std::nullopt;
}

Result<Maybe> SympyParser::call(std::string_view head) {
  std::vector<Maybe> arguments;
  while (!accept(')')) {
    if (!arguments.empty() && !accept(',')) return wrong();
    MLC_TRY(const Maybe one, term());
    arguments.push_back(one);
  }
  const bool divides = head.ends_with("Div") || head.ends_with("Mod");
  if (divides && arguments.size() == 2 && arguments[1] &&
      symbols_.constant_value(*arguments[1]) == 0) {
    return corrupt("the size " + quoted(text_, 80) + " divides by 0");
  }
  return apply(head, arguments);
}

Result<Maybe> SympyParser::term() {
  skip_spaces();
  if (at_ == text_.size()) return wrong();
  if (text_[at_] == '-' || (text_[at_] >= '0' && text_[at_] <= '9')) return number();
  if (accept('\'')) {  // Float('1.5', precision=53)
    const size_t end = text_.find('\'', at_);
    if (end == text_.npos) return wrong();
    at_ = end + 1;
    return Maybe();
  }
  const std::string_view head = word();
  if (head.empty()) return wrong();
  if (accept('=')) return term();
  if (!accept('(')) return Maybe();  // true, oo: no integer
  if (head == "Symbol") return symbol_term();
  if (++depth_ > kMaxDepth) return wrong();
  auto out = call(head);
  --depth_;
  return out;
}

}  // namespace

Result<std::optional<Expr>> parse_sympy(
    std::string_view text, Symbols& symbols,
    const std::function<Result<Expr>(std::string_view name)>& symbol) {
  return SympyParser(text, symbols, symbol).run();
}

}  // namespace mlc
