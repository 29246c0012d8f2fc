#include "mlc/frontend/python_reading.h"

#include "mlc/base/text.h"
#include "mlc/frontend/python_calls.h"
#include "mlc/frontend/python_tokens.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace mlc::arch {
namespace {

using TokenKind = PythonToken::Kind;

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

enum class Form { value, arithmetic, comparison, negation, conjunction, disjunction, choice };

/// The tokens [first, last].
struct Span {
  size_t first = 0;
  size_t last = 0;
};

/// A part of an expression.
struct Part : Span {
  Form form = Form::value;
  bool repeatable = false;  // computed twice it is the same, and costs nothing
  bool of_flag = false;     // a member of what is a flag
  bool flag = false;        // it is True or False, where these are:
  /// What `and` and `or` in it may have for their value, as they have in Python only.
  std::vector<Span> values;
};

Part make_part(Span span, Form form, bool repeatable = false) {
  Part out;
  out.first = span.first;
  out.last = span.last;
  out.form = form;
  out.repeatable = repeatable;
  return out;
}

Part make_flag(Span span, Form form) {
  Part out = make_part(span, form);
  out.flag = true;
  return out;
}

/// What is between brackets, or in a statement.
struct Items {
  std::vector<Part> parts;
  bool alone = true;  // one expression and no sign beside it
};

bool all_repeatable(const std::vector<Part>& parts) {
  return std::ranges::all_of(parts, &Part::repeatable);
}

/// Functions that may be called twice.
bool is_plain_function(std::string_view name) {
  static constexpr auto kNames = std::to_array<std::string_view>({"len", "int", "float", "abs"});
  return is_one_of(name, kNames);
}

/// Methods that may.
bool is_size(std::string_view method) {
  static constexpr auto kNames = std::to_array<std::string_view>({"size", "dim", "numel", "item"});
  return is_one_of(method, kNames);
}

/// Functions and methods with answers that are True or False, be it in a tensor.
bool answers(std::string_view name) {
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"isinstance", "any", "all", "equal", "allclose", "isnan", "isinf", "isfinite", "isposinf",
       "isneginf", "isclose", "logical_and", "logical_or", "logical_not"});
  return name.starts_with("is_") || is_one_of(name, kNames);
}

/// Methods of Python's tensors that TorchScript's lack, and the types that to() has for them.
constexpr auto kCasts = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"bool", "torch.bool"},
    {"bfloat16", "torch.bfloat16"},
});

/// What goes in front of [begin, end) and behind it, there in place of some characters.
struct Written {
  size_t begin = 0;
  size_t end = 0;
  size_t replaces = 0;
  std::string before;
  std::string after;
  size_t number = 0;  // outer ones come later
};

/// As single changes. Of several at one place the outer ones open first and close last.
std::vector<TextChange> in_order(std::vector<Written> written) {
  std::vector<TextChange> out;
  std::ranges::sort(written, [](const Written& a, const Written& b) {
    return std::tie(a.end, b.begin, a.number) < std::tie(b.end, a.begin, b.number);
  });
  for (const Written& one : written) out.push_back({one.end, one.replaces, one.after});
  std::ranges::sort(written, [](const Written& a, const Written& b) {
    return std::tie(a.begin, b.end, b.number) < std::tie(b.begin, a.end, a.number);
  });
  for (const Written& one : written) {
    if (!one.before.empty()) out.push_back({one.begin, 0, one.before});
  }
  std::ranges::stable_sort(out, {}, &TextChange::offset);
  return out;
}

/// Reads one statement by Python's grammar. Every function that returns an optional leaves it empty
/// where the text is no Python.
class Reader {
 public:
  explicit Reader(const std::vector<PythonToken>& tokens) : tokens_(tokens) {}

  bool statement() {
    static constexpr auto kBefore =
        std::to_array<std::string_view>({"if", "elif", "while", "return", "assert", "raise", "del",
                                         "else", "def", "with", "pass", "break", "continue"});
    static constexpr auto kAsking =
        std::to_array<std::string_view>({"if", "elif", "while", "assert"});
    const bool asks = is_name() && is_one_of(text(), kAsking);
    if (is_word("for")) {
      if (!targets()) return false;
    } else if (is_name() && is_one_of(text(), kBefore)) {
      ++at_;
    }
    auto all = items({});
    if (!all) return false;
    if (asks && !all->parts.empty()) all->parts.front().values.clear();
    settle(all->parts);
    if (augmented_ != 0) write_augmented(all->parts.front());
    return true;
  }

  PythonReading take() { return {in_order(std::move(written_)), twice_}; }

 private:
  using Read = std::optional<Part>;

  std::string_view text(size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead].text : std::string_view();
  }
  bool is_name() const { return tokens_[at_].kind == TokenKind::name; }
  bool is_word(std::string_view word) const { return is_name() && text() == word; }
  bool take_word(std::string_view word) {
    const bool there = is_word(word);
    at_ += there ? 1 : 0;
    return there;
  }
  bool is_sign(std::string_view sign) const {
    return tokens_[at_].kind == TokenKind::sign && text() == sign;
  }

  void write(size_t begin, size_t end, std::string before, std::string after, size_t replaces = 0) {
    written_.push_back(
        {begin, end, replaces, std::move(before), std::move(after), written_.size()});
  }

  void enclose(const Span& span, std::string before = "(") {
    write(tokens_[span.first].offset, tokens_[span.last].end(), std::move(before), ")");
  }

  /// PARTS are used for what they are, not only for whether that is true.
  void settle(const std::vector<Part>& parts) {
    for (const Part& part : parts) settle(part);
  }
  void settle(const Part& part) {
    for (const Span& one : part.values) enclose(one, std::string(kFlagCall) + "(");
  }

  /// LEFT and RIGHT with `and` or `or` between them.
  Part joined(const Part& left, const Part& right, Form form) {
    Part out = make_flag({left.first, right.last}, form);
    for (const Part* one : {&left, &right}) {
      if (one->flag) {
        out.values.insert(out.values.end(), one->values.begin(), one->values.end());
      } else {
        settle(*one);
        out.values.push_back(*one);
      }
    }
    return out;
  }

  /// The text of SPAN on one line, without comments.
  std::string text_of(const Span& span) const {
    std::string out;
    for (size_t i = span.first; i <= span.last; ++i) {
      const bool apart = i != span.first && tokens_[i - 1].end() != tokens_[i].offset;
      out.append(apart ? " " : "").append(tokens_[i].text);
    }
    return out;
  }

  void refuse_twice(ComputedTwice::What what, const Span& span) {
    if (!twice_) twice_ = ComputedTwice{what, tokens_[span.first].offset};
  }

  /// `x %= 3` as `x = __imod__(x, 3)`.
  void write_augmented(const Part& target) {
    const PythonToken& sign = tokens_[augmented_];
    const auto* row = std::ranges::find(kAugmentedCalls, sign.text, &AugmentedCall::sign);
    const bool whole = target.first == 0 && target.last + 1 == augmented_;
    if (row == kAugmentedCalls.end() || !whole || at_ == augmented_ + 1) return;
    const bool entry = target.last >= 3 && tokens_[target.last - 1].kind == TokenKind::text &&
                       tokens_[target.last - 2].text == "[";
    if (!row->always && !entry) return;
    if (!target.repeatable) refuse_twice(ComputedTwice::What::target, target);
    std::string begun = "= " + std::string(row->call) + "(" + text_of(target) + ",";
    write(sign.offset, sign.offset, {}, std::move(begun), sign.text.size());
    write(sign.end(), tokens_[at_ - 1].end(), {}, ")");
  }

  /// `for a, (b, c) in`.
  bool targets() {
    while (tokens_[at_].kind != TokenKind::end && !is_word("in")) ++at_;
    return take_word("in");
  }

  Read choice() {
    if (depth_ >= kMaxDepth) return std::nullopt;
    ++depth_;
    Read out = disjunction();
    if (out && take_word("if")) {
      const Read condition = disjunction();
      const Read otherwise = condition && take_word("else") ? choice() : std::nullopt;
      out = otherwise ? Read(chosen(*out, *otherwise)) : std::nullopt;
    }
    --depth_;
    return out;
  }

  static Part chosen(const Part& left, const Part& right) {
    Part out = make_part({left.first, right.last}, Form::choice);
    out.flag = left.flag && right.flag;
    out.values = left.values;
    out.values.insert(out.values.end(), right.values.begin(), right.values.end());
    return out;
  }

  Read disjunction() {
    Read out = conjunction();
    while (out && take_word("or")) {
      const Read right = conjunction();
      if (!right) return std::nullopt;
      if (right->form == Form::conjunction) enclose(*right);
      out = joined(*out, *right, Form::disjunction);
    }
    return out;
  }

  Read conjunction() {
    Read out = negation();
    while (out && take_word("and")) {
      const Read right = negation();
      if (!right) return std::nullopt;
      out = joined(*out, *right, Form::conjunction);
    }
    return out;
  }

  Read negation() {
    const size_t first = at_;
    while (take_word("not")) {
    }
    if (first == at_) return comparison();
    const Read inner = comparison();
    return inner ? Read(make_flag({first, inner->last}, Form::negation)) : std::nullopt;
  }

  /// How many tokens the comparing operator here has; 0: there is none.
  size_t comparing() const {
    static constexpr auto kSigns =
        std::to_array<std::string_view>({"<", ">", "==", "!=", "<=", ">="});
    if (is_name()) {
      if (text() == "is") return text(1) == "not" ? 2 : 1;
      return text() == "in" ? 1 : text() == "not" && text(1) == "in" ? 2 : 0;
    }
    return tokens_[at_].kind == TokenKind::sign && is_one_of(text(), kSigns) ? 1 : 0;
  }

  Read comparison() {
    std::vector<Part> parts;
    while (true) {
      const Read one = arithmetic();
      if (!one) return std::nullopt;
      parts.push_back(*one);
      const size_t length = comparing();
      if (length == 0) break;
      at_ += length;
    }
    if (parts.size() == 1) return parts.front();
    settle(parts);
    if (parts.size() > 2) write_chain(parts);
    Part out = make_flag({parts.front().first, parts.back().last}, Form::comparison);
    out.repeatable = parts.size() == 2 && all_repeatable(parts);
    return out;
  }

  /// `a < b < c` as `(a < b and b < c)`.
  void write_chain(const std::vector<Part>& parts) {
    for (size_t i = 1; i + 1 < parts.size(); ++i) {
      if (!parts[i].repeatable) refuse_twice(ComputedTwice::What::middle, parts[i]);
      const size_t end = tokens_[parts[i].last].end();
      write(end, end, {}, " and " + text_of(parts[i]));
    }
    enclose({parts.front().first, parts.back().last});
  }

  bool calculating() const {
    static constexpr auto kSigns = std::to_array<std::string_view>(
        {"|", "^", "&", "<<", ">>", "+", "-", "*", "/", "//", "%", "@", "**"});
    return tokens_[at_].kind == TokenKind::sign && is_one_of(text(), kSigns);
  }

  /// Operators on numbers, which both readers bind alike.
  Read arithmetic() {
    Read out = prefixed();
    while (out && calculating()) {
      const bool matrices = text() == "@";
      ++at_;
      const Read right = prefixed();
      if (!right) return std::nullopt;
      out = calculated(*out, *right, !matrices);
    }
    return out;
  }

  Part calculated(const Part& left, const Part& right, bool repeatable) {
    settle(left);
    settle(right);
    return make_part({left.first, right.last}, Form::arithmetic,
                     left.repeatable && right.repeatable && repeatable);
  }

  /// `-x`, `~x`, `x ** -y`: what binds closer than all but `**`.
  Read prefixed() {
    if (!is_sign("-") && !is_sign("+") && !is_sign("~")) return power();
    if (depth_ >= kMaxDepth) return std::nullopt;
    const bool inverts = is_sign("~");
    const size_t first = at_++;
    ++depth_;
    const Read inner = prefixed();
    --depth_;
    if (!inner) return std::nullopt;
    settle(*inner);
    const Part out =
        make_part({first, inner->last}, Form::arithmetic, inner->repeatable && !inverts);
    // To TorchScript ~ binds as loosely as `not`.
    if (inverts && (calculating() || comparing() != 0)) enclose(out);
    return out;
  }

  Read power() {
    const Read base = value();
    if (!base || !is_sign("**")) return base;
    ++at_;
    const Read exponent = prefixed();
    return exponent ? Read(calculated(*base, *exponent, true)) : std::nullopt;
  }

  /// A name, number, text or bracket, with what follows it: `.name`, `(...)`, `[...]`.
  Read value() {
    Read out = atom();
    while (out && (is_sign(".") || is_sign("(") || is_sign("["))) {
      settle(*out);
      out = is_sign(".") ? member(*out) : called(*out);
    }
    return out;
  }

  Read member(const Part& of) {
    ++at_;
    if (!is_name()) return std::nullopt;
    Part out = make_part({of.first, at_++}, Form::value, of.repeatable);
    out.of_flag = of.flag;
    return out;
  }

  /// `x.bool()` as `x.to(torch.bool)`: METHOD is the token of the name, and ")" was read last.
  [[gnu::noinline]] void write_cast(size_t method) {
    const PythonToken& name = tokens_[method];
    const auto* row =
        std::ranges::find(kCasts, name.text, &std::pair<std::string_view, std::string_view>::first);
    if (row == kCasts.end()) return;
    write(name.offset, name.offset, {}, "to", name.text.size());
    write(tokens_[at_ - 1].offset, tokens_[at_ - 1].offset, {}, std::string(row->second));
  }

  /// `x.norm(dim=-1)` as `x.norm(2, dim=-1)`: what Python's default comes to where dimensions are
  /// given. What has other arguments is no method of tensors, nor are self.norm and torch.norm. ")"
  /// was read last.
  [[gnu::noinline]] void write_norm(const Part& callee) {
    static constexpr auto kOwn = std::to_array<std::string_view>({"dim", "keepdim"});
    const std::string_view owner = tokens_[callee.first].text;
    const bool is_method = callee.last - callee.first > 2 || (owner != "self" && owner != "torch");
    const size_t first = callee.last + 2;
    bool has_dim = false;
    for (size_t i = first; i + 1 < at_; ++i) {
      const bool names = tokens_[i].kind == TokenKind::name && tokens_[i + 1].text == "=";
      if (names && !is_one_of(tokens_[i].text, kOwn)) return;
      has_dim = has_dim || (names && tokens_[i].text == "dim");
    }
    if (!is_method || !has_dim || tokens_[first + 1].text != "=") return;
    write(tokens_[first].offset, tokens_[first].offset, {}, "2, ");
  }

  /// CALLEE with the brackets behind it, or one of its elements.
  Read called(const Part& callee) {
    const std::string_view name = tokens_[callee.last].text;
    const bool lone = callee.first == callee.last;
    const bool calls = is_sign("(");
    auto inside = bracket();
    if (!inside) return std::nullopt;
    const bool asks = calls && lone && name == "bool";
    if (calls && !lone && inside->parts.empty()) write_cast(callee.last);
    if (calls && !lone && name == "norm") write_norm(callee);
    if (asks && inside->alone) inside->parts.front().values.clear();
    settle(inside->parts);
    Part out = make_part({callee.first, at_ - 1}, Form::value);
    const bool tells = answers(name) || (name == "item" && callee.of_flag);
    out.flag = calls ? asks || tells : callee.flag;
    const bool plain = !calls || (lone ? is_plain_function(name) : is_size(name));
    out.repeatable = plain && callee.repeatable && all_repeatable(inside->parts);
    return out;
  }

  Read atom() {
    static constexpr auto kWords = std::to_array<std::string_view>(
        {"and", "as", "await", "else", "for", "if", "in", "is", "lambda", "not", "or", "yield"});
    if (is_sign("(") || is_sign("[") || is_sign("{")) return enclosed();
    const size_t first = at_;
    const TokenKind kind = tokens_[at_].kind;
    const bool word = kind == TokenKind::name && !is_one_of(text(), kWords);
    if (!word && kind != TokenKind::number && kind != TokenKind::text && !is_sign("...")) {
      return std::nullopt;
    }
    ++at_;
    while (kind == TokenKind::text && tokens_[at_].kind == TokenKind::text) ++at_;
    Part out = make_part({first, at_ - 1}, Form::value, true);
    out.flag = word && (tokens_[first].text == "True" || tokens_[first].text == "False");
    return out;
  }

  /// `(a)`, which is what a is, or what else is in brackets.
  Read enclosed() {
    const size_t first = at_;
    const bool round = is_sign("(");
    const auto inside = bracket();
    if (!inside) return std::nullopt;
    Part out;
    if (round && inside->alone) {
      out = inside->parts.front();
    } else {
      settle(inside->parts);
    }
    out.first = first;
    out.last = at_ - 1;
    out.form = Form::value;
    return out;
  }

  std::optional<Items> bracket() {
    const std::string_view close = is_sign("(") ? ")" : is_sign("[") ? "]" : "}";
    ++at_;
    return items(close);
  }

  /// What stands up to CLOSE, or to the end of the statement: expressions and the signs between
  /// them, `a, *b, c=d`, `a:b`, `x = y`.
  std::optional<Items> items(std::string_view close) {
    static constexpr auto kBetween =
        std::to_array<std::string_view>({",", ":", "=", ";", "->", ":="});
    Items out;
    for (bool separate = true;;) {
      if (close.empty() ? tokens_[at_].kind == TokenKind::end : is_sign(close)) break;
      const bool sign = tokens_[at_].kind == TokenKind::sign;
      const bool augments = sign && close.empty() && !out.parts.empty() &&
                            std::ranges::count(kAugmentedCalls, text(), &AugmentedCall::sign) != 0;
      if (augments) augmented_ = at_;
      if (augments || (sign && is_one_of(text(), kBetween))) {
        separate = true;
        out.alone = false;
        ++at_;
      } else if (!separate || !item(out)) {
        return std::nullopt;
      } else {
        separate = false;
      }
    }
    at_ += close.empty() ? 0 : 1;
    out.alone = out.alone && out.parts.size() == 1;
    return out;
  }

  bool item(Items& out) {
    if (is_sign("*") || is_sign("**")) {
      out.alone = false;
      ++at_;
      if (is_sign(",") || is_sign(")")) return true;  // def f(self, *, x)
    }
    const Read one = choice();
    if (!one) return false;
    out.parts.push_back(*one);
    if (!is_word("for")) return true;
    // To TorchScript `for` binds more closely than `else`.
    if (one->form == Form::choice) enclose(*one);
    out.alone = false;
    return loops();
  }

  /// `for x in xs if x` of a comprehension.
  bool loops() {
    while (is_word("for")) {
      const Read over = targets() ? disjunction() : std::nullopt;
      if (!over) return false;
      settle(*over);
      while (take_word("if")) {
        if (!disjunction()) return false;
      }
    }
    return true;
  }

  // More than the compiler of TorchScript is given, and within the stack of a sanitized build, for
  // which what writes changes is kept out of the frames of the grammar.
  static constexpr int kMaxDepth = 1100;

  const std::vector<PythonToken>& tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  size_t augmented_ = 0;  // the token `%=` of the statement; 0: none
  std::vector<Written> written_;
  std::optional<ComputedTwice> twice_;
};

}  // namespace

PythonReading read_as_python(std::string_view statement) {
  const auto tokens = python_tokens(statement);
  if (!tokens) return {};
  Reader reader(*tokens);
  return reader.statement() ? reader.take() : PythonReading();
}

}  // namespace mlc::arch
