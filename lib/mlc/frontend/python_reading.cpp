#include "mlc/frontend/python_reading.h"

#include "mlc/base/text.h"
#include "mlc/frontend/python_tokens.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mlc::arch {
namespace {

using TokenKind = PythonToken::Kind;

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

enum class Form { value, arithmetic, comparison, negation, conjunction, disjunction, choice };

/// A part of an expression: the tokens [first, last].
struct Part {
  size_t first = 0;
  size_t last = 0;
  Form form = Form::value;
  bool repeatable = false;  // computed twice it is the same, and costs nothing
};

/// What is between brackets, or in a statement.
struct Items {
  std::vector<Part> parts;
  bool alone = true;  // one expression and no sign beside it
};

/// Reads one statement by Python's grammar. Every function that returns an optional leaves it empty
/// where the text is no Python.
class Reader {
 public:
  explicit Reader(const std::vector<PythonToken>& tokens) : tokens_(tokens) {}

  bool statement() {
    static constexpr auto kBefore =
        std::to_array<std::string_view>({"if", "elif", "while", "return", "assert", "raise", "del",
                                         "else", "def", "with", "pass", "break", "continue"});
    if (is_word("for")) {
      if (!targets()) return false;
    } else if (is_name() && is_one_of(text(), kBefore)) {
      ++at_;
    }
    return items({}).has_value();
  }

  PythonReading take() {
    // Of several at one place the outer ones, which came later, open first and close last.
    std::reverse(opening_.begin(), opening_.end());
    std::vector<Insertion> all = std::move(closing_);
    all.insert(all.end(), opening_.begin(), opening_.end());
    std::ranges::stable_sort(all, {}, &Insertion::offset);
    return {std::move(all), twice_};
  }

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

  void enclose(const Part& part, std::string before = "(", std::string after = ")") {
    opening_.push_back({tokens_[part.first].offset, std::move(before)});
    closing_.push_back({tokens_[part.last].end(), std::move(after)});
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
      if (otherwise) out = Part{out->first, otherwise->last, Form::choice};
      if (!otherwise) out.reset();
    }
    --depth_;
    return out;
  }

  Read disjunction() {
    Read out = conjunction();
    while (out && take_word("or")) {
      const Read right = conjunction();
      if (!right) return std::nullopt;
      if (right->form == Form::conjunction) enclose(*right);
      out = Part{out->first, right->last, Form::disjunction};
    }
    return out;
  }

  Read conjunction() {
    Read out = negation();
    while (out && take_word("and")) {
      const Read right = negation();
      if (!right) return std::nullopt;
      out = Part{out->first, right->last, Form::conjunction};
    }
    return out;
  }

  Read negation() {
    const size_t first = at_;
    while (take_word("not")) {
    }
    if (first == at_) return comparison();
    const Read inner = comparison();
    return inner ? Read(Part{first, inner->last, Form::negation}) : std::nullopt;
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
    if (parts.size() > 2) write_chain(parts);
    const bool repeatable = parts.size() == 2 && std::ranges::all_of(parts, &Part::repeatable);
    return Part{parts.front().first, parts.back().last, Form::comparison, repeatable};
  }

  /// `a < b < c` as `(a < b and b < c)`.
  void write_chain(const std::vector<Part>& parts) {
    for (size_t i = 1; i + 1 < parts.size(); ++i) {
      if (!parts[i].repeatable && !twice_) twice_ = tokens_[parts[i].first].offset;
      std::string again = " and";
      for (size_t token = parts[i].first; token <= parts[i].last; ++token) {
        const size_t before = token == 0 ? 0 : tokens_[token - 1].end();
        const bool apart = token == parts[i].first || before != tokens_[token].offset;
        again.append(apart ? " " : "").append(tokens_[token].text);
      }
      closing_.push_back({tokens_[parts[i].last].end(), std::move(again)});
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
      out = Part{out->first, right->last, Form::arithmetic,
                 out->repeatable && right->repeatable && !matrices};
    }
    return out;
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
    const Part out{first, inner->last, Form::arithmetic, inner->repeatable && !inverts};
    // To TorchScript ~ binds as loosely as `not`.
    if (inverts && (calculating() || comparing() != 0)) enclose(out);
    return out;
  }

  Read power() {
    Read base = value();
    if (!base || !is_sign("**")) return base;
    ++at_;
    const Read exponent = prefixed();
    if (!exponent) return std::nullopt;
    return Part{base->first, exponent->last, Form::arithmetic,
                base->repeatable && exponent->repeatable};
  }

  /// A name, number, text or bracket, with what follows it: `.name`, `(...)`, `[...]`.
  Read value() {
    Read out = atom();
    while (out) {
      const std::string_view callee = tokens_[out->last].text;
      if (is_sign(".")) {
        ++at_;
        if (!is_name()) return std::nullopt;
        out->last = at_++;
      } else if (is_sign("(") || is_sign("[")) {
        const bool lone = out->first == out->last;
        const bool again = is_sign("[") || (lone ? is_plain_function(callee) : is_size(callee));
        const auto inside = bracket();
        if (!inside) return std::nullopt;
        out->repeatable = again && (lone || out->repeatable) && all_repeatable(*inside);
        out->last = at_ - 1;
      } else {
        break;
      }
    }
    return out;
  }

  static bool is_plain_function(std::string_view name) {
    static constexpr auto kNames = std::to_array<std::string_view>({"len", "int", "float", "abs"});
    return is_one_of(name, kNames);
  }
  static bool is_size(std::string_view method) {
    static constexpr auto kNames =
        std::to_array<std::string_view>({"size", "dim", "numel", "item"});
    return is_one_of(method, kNames);
  }
  static bool all_repeatable(const Items& items) {
    return std::ranges::all_of(items.parts, &Part::repeatable);
  }

  Read atom() {
    static constexpr auto kWords = std::to_array<std::string_view>(
        {"and", "as", "await", "else", "for", "if", "in", "is", "lambda", "not", "or", "yield"});
    const size_t first = at_;
    const TokenKind kind = tokens_[at_].kind;
    if (kind == TokenKind::text) {
      while (tokens_[at_].kind == TokenKind::text) ++at_;
    } else if (kind == TokenKind::number || is_sign("...") ||
               (kind == TokenKind::name && !is_one_of(text(), kWords))) {
      ++at_;
    } else if (is_sign("(") || is_sign("[") || is_sign("{")) {
      const bool round = is_sign("(");
      const auto inside = bracket();
      if (!inside) return std::nullopt;
      return Part{first, at_ - 1, Form::value, round && inside->alone && all_repeatable(*inside)};
    } else {
      return std::nullopt;
    }
    return Part{first, at_ - 1, Form::value, true};
  }

  std::optional<Items> bracket() {
    const std::string_view close = is_sign("(") ? ")" : is_sign("[") ? "]" : "}";
    ++at_;
    return items(close);
  }

  /// What stands up to CLOSE, or to the end of the statement: expressions and the signs between
  /// them, `a, *b, c=d`, `a:b`, `x = y`.
  std::optional<Items> items(std::string_view close) {
    static constexpr auto kBetween = std::to_array<std::string_view>(
        {",", ":", "=", ";", "->",
         ":=", "+=", "-=", "*=", "/=", "//=", "%=", "**=", "<<=", ">>=", "&=", "|=", "^=", "@="});
    Items out;
    for (bool separate = true;;) {
      if (close.empty() ? tokens_[at_].kind == TokenKind::end : is_sign(close)) break;
      if (tokens_[at_].kind == TokenKind::sign && is_one_of(text(), kBetween)) {
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
      if (!targets() || !disjunction()) return false;
      while (take_word("if")) {
        if (!disjunction()) return false;
      }
    }
    return true;
  }

  // More than the compiler of TorchScript is given.
  static constexpr int kMaxDepth = 1500;

  const std::vector<PythonToken>& tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  std::vector<Insertion> opening_;
  std::vector<Insertion> closing_;
  std::optional<size_t> twice_;
};

/// LINE with INSERTIONS, ascending, whose offsets are in it.
void insert_into(TextLine& line, const std::vector<Insertion>& insertions) {
  std::vector<ColumnShift> shifts;
  auto old = line.from.shifts.begin();
  std::string text;
  size_t copied = 0;
  const auto move_shifts = [&](size_t up_to) {
    for (; old != line.from.shifts.end() && old->source <= up_to; ++old) {
      shifts.push_back({old->source + text.size() - copied, old->yaml});
    }
  };
  for (const Insertion& one : insertions) {
    move_shifts(one.offset);
    text += std::string_view(line.text).substr(copied, one.offset - copied);
    copied = one.offset;
    const size_t column = written_column(line, one.offset);
    shifts.push_back({text.size() + 1, column});
    text += one.text;
    shifts.push_back({text.size() + 1, column});
  }
  move_shifts(line.text.size() + 1);
  line.from.shifts = std::move(shifts);
  line.text = text + line.text.substr(copied);
}

/// The lines [BEGIN, END) as one text, and where each begins in it.
struct Statement {
  std::string code;
  std::vector<size_t> begins;

  Statement(const std::vector<TextLine>& lines, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      begins.push_back(code.size());
      code += lines[i].text + "\n";
    }
  }

  /// The number of the line that OFFSET lies in.
  size_t line_of(size_t offset) const {
    const auto behind = std::ranges::upper_bound(begins, offset);
    return static_cast<size_t>(behind - begins.begin()) - 1;
  }
};

Error cannot_repeat(const TextLine& line, size_t offset, const yaml::Node& node) {
  const Position& at = line.from.position;
  return node.error_at(at.line, at.column + written_column(line, offset) - 1,
                       "TorchScript has no chained comparisons, and written out this one would "
                       "compute its middle twice",
                       "write it with `and`: y = f(x), then a < y and y < b");
}

}  // namespace

PythonReading read_as_python(std::string_view statement) {
  const auto tokens = python_tokens(statement);
  if (!tokens) return {};
  Reader reader(*tokens);
  return reader.statement() ? reader.take() : PythonReading();
}

Status bracket_as_python(std::vector<TextLine>& lines, const yaml::Node& node) {
  const std::vector<LineKind> kinds = line_kinds(lines);
  for (size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
    end = begin + 1;
    while (end < lines.size() && kinds[end] != LineKind::statement) ++end;
    const Statement statement(lines, begin, end);
    const PythonReading reading = read_as_python(statement.code);
    if (reading.twice) {
      const size_t line = statement.line_of(*reading.twice);
      return cannot_repeat(lines[begin + line], *reading.twice - statement.begins[line], node);
    }
    std::vector<std::vector<Insertion>> by_line(end - begin);
    for (const Insertion& one : reading.insertions) {
      const size_t line = statement.line_of(one.offset);
      by_line[line].push_back({one.offset - statement.begins[line], one.text});
    }
    for (size_t i = 0; i < by_line.size(); ++i) {
      if (!by_line[i].empty()) insert_into(lines[begin + i], by_line[i]);
    }
  }
  return {};
}

}  // namespace mlc::arch
