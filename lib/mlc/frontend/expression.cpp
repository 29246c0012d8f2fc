#include "mlc/frontend/expression.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace mlc::arch {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Python's // and %: the quotient is rounded down. Requires: B != 0, no overflow.
int64_t floor_div(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Result<Value> lookup(std::string_view name, const yaml::Node& node, const Scope& scope) {
  for (auto it = scope.rbegin(); it != scope.rend(); ++it) {
    if (it->name == name) return it->value;
  }
  std::vector<std::string> known;
  for (const KnownName& one : scope) known.push_back(one.name);
  const auto guess = nearest(name, known);
  std::string hint = "no parameters are declared here";
  if (!known.empty()) hint = "known here: " + join_list(known, known.size());
  if (guess) hint = "did you mean $" + *guess + "?";
  return node.error("unknown name $" + std::string(name), std::move(hint));
}

/// What compares, longer ones first.
constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<=", ">=", "<", ">"};

/// A and B, numbers both, as OP compares them.
template <class T>
bool compare(std::string_view op, T a, T b) {
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<=") return a <= b;
  if (op == ">=") return a >= b;
  return op == "<" ? a < b : a > b;
}

/// Recursive descent over one scalar.
class Parser {
 public:
  Parser(const yaml::Node& node, const Scope& scope)
      : node_(node), scope_(scope), rest_(node.scalar()) {}

  Result<Value> run() {
    MLC_TRY(Value value, either());
    skip_space();
    if (!rest_.empty()) return unexpected();
    return value;
  }

 private:
  static constexpr int kMaxDepth = 50;

  void skip_space() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  bool take_word(std::string_view word) {
    skip_space();
    const bool is_whole = rest_.size() == word.size() ||
                          (rest_.size() > word.size() && !is_name_char(rest_[word.size()]));
    return is_whole && take(word);
  }
  Error unexpected() const {
    const bool slash = rest_.starts_with("/");
    return node_.error(
        rest_.empty() ? "the expression ends too early"
                      : "unexpected " + quoted(rest_, 20) + " in an expression",
        slash ? "integers are divided with //"
              : "an expression is made of $names, numbers, + - * // % and ( ), == != < <= > "
                ">=, and, or, not");
  }

  Result<bool> flag(const Value& value, std::string_view op) const {
    if (const auto* held = std::get_if<bool>(&value)) return *held;
    return node_.error(quoted(op) + " needs true or false, found " + describe(value));
  }

  Result<Value> either() {
    MLC_TRY(Value left, both());
    while (take_word("or")) {
      MLC_TRY(const bool a, flag(left, "or"));
      MLC_TRY(const Value right, both());
      MLC_TRY(const bool b, flag(right, "or"));
      left = Value(a || b);
    }
    return left;
  }

  Result<Value> both() {
    MLC_TRY(Value left, negation());
    while (take_word("and")) {
      MLC_TRY(const bool a, flag(left, "and"));
      MLC_TRY(const Value right, negation());
      MLC_TRY(const bool b, flag(right, "and"));
      left = Value(a && b);
    }
    return left;
  }

  Result<Value> negation() {
    bool negated = false;
    bool is_flag = false;
    while (take_word("not")) {
      negated = !negated;
      is_flag = true;
    }
    MLC_TRY(Value value, comparison());
    if (!is_flag) return value;
    MLC_TRY(const bool held, flag(value, "not"));
    return Value(held != negated);
  }

  Result<Value> comparison() {
    MLC_TRY(Value left, sum());
    const auto op =
        std::ranges::find_if(kComparisons, [&](std::string_view one) { return take(one); });
    if (op == kComparisons.end()) return left;
    MLC_TRY(const Value right, sum());
    return compared(*op, left, right);
  }

  Result<Value> compared(std::string_view op, const Value& a, const Value& b) const {
    const auto* whole_a = std::get_if<int64_t>(&a);
    const auto* whole_b = std::get_if<int64_t>(&b);
    if (whole_a && whole_b) return Value(compare(op, *whole_a, *whole_b));
    const auto* real_a = std::get_if<double>(&a);
    const auto* real_b = std::get_if<double>(&b);
    if ((whole_a || real_a) && (whole_b || real_b)) {
      return Value(compare(op, whole_a ? static_cast<double>(*whole_a) : *real_a,
                           whole_b ? static_cast<double>(*whole_b) : *real_b));
    }
    const bool is_equality = op == "==" || op == "!=";
    if (is_equality && a.index() == b.index()) return Value((a == b) == (op == "=="));
    return node_.error("cannot compare " + describe(a) + " with " + describe(b) + " by " +
                       std::string(op));
  }

  Result<Value> sum() {
    MLC_TRY(Value left, product());
    while (true) {
      const char op = take("+") ? '+' : take("-") ? '-' : '\0';
      if (op == '\0') return left;
      MLC_TRY(const Value right, product());
      MLC_TRY(left, apply(op, left, right));
    }
  }

  Result<Value> product() {
    MLC_TRY(Value left, operand());
    while (true) {
      const char op = take("*") ? '*' : take("//") ? '/' : take("%") ? '%' : '\0';
      if (op == '\0') return left;
      MLC_TRY(const Value right, operand());
      MLC_TRY(left, apply(op, left, right));
    }
  }

  Result<Value> operand() {
    if (++depth_ > kMaxDepth) return node_.error("the expression is nested too deeply");
    auto value = operand_within();
    --depth_;
    return value;
  }

  Result<Value> operand_within() {
    if (take("-")) {
      MLC_TRY(const Value value, operand());
      return apply('-', Value(int64_t{0}), value);
    }
    if (take("(")) {
      MLC_TRY(Value value, either());
      if (!take(")")) return unexpected();
      return value;
    }
    if (take("$")) return name();
    if (take_word("true")) return Value(true);
    if (take_word("false")) return Value(false);
    if (!rest_.empty() && is_digit(rest_.front())) return number();
    return unexpected();
  }

  Result<Value> name() {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_name_char);
    const auto length = static_cast<size_t>(end - rest_.begin());
    if (length == 0) return unexpected();
    const std::string_view found = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return lookup(found, node_, scope_);
  }

  Result<Value> number() {
    int64_t whole = 0;
    const char* end = rest_.data() + rest_.size();
    const auto as_int = std::from_chars(rest_.data(), end, whole);
    double real = 0;
    const auto as_real = std::from_chars(rest_.data(), end, real);
    const bool is_int = as_int.ec == std::errc() && as_int.ptr == as_real.ptr;
    if (!is_int && (as_real.ec != std::errc() || as_int.ptr == as_real.ptr)) {
      return node_.error("a number of the expression does not fit 64 bits");
    }
    rest_.remove_prefix(static_cast<size_t>(as_real.ptr - rest_.data()));
    return is_int ? Value(whole) : Value(real);
  }

  Result<Value> apply(char op, const Value& a, const Value& b) const {
    for (const Value* one : {&a, &b}) {
      if (!std::holds_alternative<int64_t>(*one) && !std::holds_alternative<double>(*one)) {
        return node_.error("cannot calculate with " + describe(*one));
      }
    }
    const auto* whole_a = std::get_if<int64_t>(&a);
    const auto* whole_b = std::get_if<int64_t>(&b);
    if (whole_a && whole_b) return apply_ints(op, *whole_a, *whole_b);
    const double x = whole_a ? static_cast<double>(*whole_a) : std::get<double>(a);
    const double y = whole_b ? static_cast<double>(*whole_b) : std::get<double>(b);
    if (op == '+') return Value(x + y);
    if (op == '-') return Value(x - y);
    if (op == '*') return Value(x * y);
    return node_.error("// and % need integers");
  }

  Result<Value> apply_ints(char op, int64_t a, int64_t b) const {
    std::optional<int64_t> out;
    if (op == '+') out = checked_add(a, b);
    if (op == '*') out = checked_mul(a, b);
    if (op == '-') {
      int64_t difference = 0;
      if (!__builtin_sub_overflow(a, b, &difference)) out = difference;
    }
    if (op == '/' || op == '%') {
      if (b == 0) return node_.error("division by zero");
      if (b == -1) return apply_ints(op == '%' ? '*' : '-', 0, a);  // INT64_MIN / -1 overflows
      out = op == '/' ? floor_div(a, b) : a - floor_div(a, b) * b;
    }
    if (!out) return node_.error("the result does not fit 64 bits");
    return Value(*out);
  }

  const yaml::Node& node_;
  const Scope& scope_;
  std::string_view rest_;
  int depth_ = 0;
};

Result<Value> evaluate_scalar(const yaml::Node& node, const Scope& scope) {
  if (!node.is_quoted() && node.scalar().find('$') != std::string::npos) {
    return Parser(node, scope).run();
  }
  switch (node.type()) {
    case yaml::PlainType::null:
      return Value();
    case yaml::PlainType::boolean: {
      MLC_TRY(const bool value, node.as_bool());
      return Value(value);
    }
    case yaml::PlainType::integer: {
      MLC_TRY(const int64_t value, node.as_int());
      return Value(value);
    }
    case yaml::PlainType::number: {
      MLC_TRY(const double value, node.as_double());
      return Value(value);
    }
    case yaml::PlainType::string:
      break;
  }
  return Value(node.scalar());
}

/// All items as T, or nothing where one is of another type.
template <class T>
std::optional<std::vector<T>> all_of(const std::vector<Value>& items) {
  std::vector<T> out;
  for (const Value& item : items) {
    if (const auto* held = std::get_if<T>(&item)) {
      out.push_back(*held);
    } else if (std::is_same_v<T, double> && std::holds_alternative<int64_t>(item)) {
      if constexpr (std::is_same_v<T, double>) out.push_back(double(std::get<int64_t>(item)));
    } else if (std::is_same_v<T, int64_t> && std::holds_alternative<std::monostate>(item)) {
      if constexpr (std::is_same_v<T, int64_t>) out.push_back(kNoneInList);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

Result<Value> evaluate_list(const yaml::Node& node, const Scope& scope) {
  std::vector<Value> items;
  for (const yaml::Node& item : node.items()) {
    if (item.kind() == yaml::Kind::sequence || item.kind() == yaml::Kind::mapping) {
      return item.error("expected a number or a string in this list, found " + item.describe());
    }
    MLC_TRY(Value value, evaluate(item, scope));
    items.push_back(std::move(value));
  }
  if (auto ints = all_of<int64_t>(items)) return Value(std::move(*ints));
  if (auto numbers = all_of<double>(items)) return Value(std::move(*numbers));
  if (auto texts = all_of<std::string>(items)) return Value(std::move(*texts));
  return node.error("a list holds integers, numbers or strings, not a mixture");
}

}  // namespace

std::vector<std::string> names_in(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = text.find('$'); at != text.npos; at = text.find('$', at)) {
    size_t end = ++at;
    while (end < text.size() && is_name_char(text[end])) ++end;
    std::string name(text.substr(at, end - at));
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
  }
  return out;
}

Result<Value> evaluate(const yaml::Node& node, const Scope& scope) {
  switch (node.kind()) {
    case yaml::Kind::null:
      return Value();
    case yaml::Kind::scalar:
      return evaluate_scalar(node, scope);
    case yaml::Kind::sequence:
      return evaluate_list(node, scope);
    case yaml::Kind::mapping:
      break;
  }
  return node.error("expected a value, found a mapping");
}

Result<int64_t> evaluate_int(const yaml::Node& node, const Scope& scope) {
  MLC_TRY(const Value value, evaluate(node, scope));
  if (const auto* whole = std::get_if<int64_t>(&value)) return *whole;
  return node.error("expected an integer, found " + describe(value), quotes_hint(node));
}

std::string quotes_hint(const yaml::Node& node) {
  if (node.kind() != yaml::Kind::scalar || !node.is_quoted()) return {};
  const std::string& text = node.scalar();
  if (text.find('$') == std::string::npos) return {};
  return "quotes make it a text: write " + printable(text) + " without them";
}

}  // namespace mlc::arch
