#include "mlc/frontend/unroll.h"

#include "mlc/base/text.h"
#include "mlc/frontend/known_number.h"
#include "mlc/frontend/module_path.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace mlc::arch {
namespace {

constexpr size_t kMaxLines = 100'000;
constexpr size_t kMaxBytes = 16U << 20U;
constexpr int kMaxDepth = 100;  // of loops within loops
constexpr size_t kMaxTurns = 10'000;

/// What a loop over modules binds in one turn: a module, or a literal (the number of enumerate()).
struct Bound {
  std::string text;
  const ScriptModule* module = nullptr;  // null: a literal
};
using Turns = std::vector<std::vector<Bound>>;

struct Loop {
  std::vector<std::string> targets;
  Turns turns;
};

/// Reads the iterable of a loop; nothing where it is no list of modules.
class Iterable {
 public:
  explicit Iterable(const std::vector<Alias>& aliases) : aliases_(aliases) {}

  std::optional<Turns> read(std::string_view text) const {
    text = trim(text);
    if (const auto inner = argument_of(text, "enumerate")) return enumerated(*inner);
    if (const auto inner = argument_of(text, "zip")) return zipped(*inner);
    if (const auto inner = argument_of(text, "reversed")) {
      auto out = read(*inner);
      if (out) std::reverse(out->begin(), out->end());
      return out;
    }
    const auto path = read_module_path(text, aliases_);
    if (!path || !path->bad_index.empty() || path->module == nullptr) return std::nullopt;
    const std::string_view rest = trim(text.substr(path->length));
    if (rest == ".children()") return of_children(*path, 0, path->module->children.size());
    if (!is_container(*path->module)) return std::nullopt;
    if (path->module->type == "ModuleDict") return of_dict(*path, rest);
    if (rest.empty()) return of_children(*path, 0, path->module->children.size());
    return sliced(*path, rest);
  }

 private:
  static std::optional<std::string_view> argument_of(std::string_view text,
                                                     std::string_view function) {
    if (!text.starts_with(function) || !text.ends_with(')')) return std::nullopt;
    text.remove_prefix(function.size());
    if (!text.starts_with('(')) return std::nullopt;
    return text.substr(1, text.size() - 2);
  }

  static Turns of_children(const ModulePath& path, size_t begin, size_t end) {
    Turns out;
    for (size_t i = begin; i < end; ++i) {
      const ScriptModule& child = path.module->children[i];
      out.push_back({{child_text(path.text, child.name), &child}});
    }
    return out;
  }

  static std::optional<Turns> of_dict(const ModulePath& path, std::string_view rest) {
    Turns out = of_children(path, 0, path.module->children.size());
    if (rest == ".values()") return out;
    if (rest != ".items()") return std::nullopt;
    for (auto& turn : out) {
      turn.insert(turn.begin(), {python_literal(Value(turn[0].module->name)), nullptr});
    }
    return out;
  }

  /// `[1:]`, `[:-1]`, `[1:3]`.
  static std::optional<Turns> sliced(const ModulePath& path, std::string_view rest) {
    if (!rest.starts_with('[') || !rest.ends_with(']')) return std::nullopt;
    const auto ends = split(rest.substr(1, rest.size() - 2), ':');
    if (ends.size() != 2) return std::nullopt;
    const auto count = static_cast<int64_t>(path.module->children.size());
    const auto bound = [count](std::string_view text, int64_t otherwise) -> std::optional<size_t> {
      text = trim(text);
      int64_t value = otherwise;
      if (!text.empty()) {
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
      }
      if (value < 0) value += count;
      return static_cast<size_t>(std::clamp<int64_t>(value, 0, count));
    };
    const auto begin = bound(ends[0], 0);
    const auto end = bound(ends[1], count);
    if (!begin || !end) return std::nullopt;
    return of_children(path, *begin, *end);
  }

  std::optional<Turns> enumerated(std::string_view inner) const {
    auto out = read(inner);
    if (!out) return std::nullopt;
    for (size_t i = 0; i < out->size(); ++i) {
      (*out)[i].insert((*out)[i].begin(), {std::to_string(i), nullptr});
    }
    return out;
  }

  std::optional<Turns> zipped(std::string_view inner) const {
    std::optional<Turns> out;
    for (const std::string_view part : split(inner, ',')) {
      const auto one = read(part);
      if (!one) return std::nullopt;
      if (!out) {
        out = one;
        continue;
      }
      out->resize(std::min(out->size(), one->size()));
      for (size_t i = 0; i < out->size(); ++i) {
        (*out)[i].insert((*out)[i].end(), (*one)[i].begin(), (*one)[i].end());
      }
    }
    return out;
  }

  const std::vector<Alias>& aliases_;
};

std::vector<std::string> read_targets(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view part : split(text, ',')) {
    std::string_view name = trim(part);
    while (name.starts_with('(')) name = trim(name.substr(1));
    while (name.ends_with(')')) name = trim(name.substr(0, name.size() - 1));
    out.emplace_back(name);
  }
  return out;
}

/// Where `in` of the loop that CODE begins stands; npos if it begins none.
size_t find_in(std::string_view code) {
  return begins_with_word(code, "for") && code.ends_with(':') ? code.find(" in ") : code.npos;
}

/// `for i in range(3):` with numbers that are known, and not too many of them.
std::optional<Loop> read_count(std::string_view code, const std::vector<Alias>& aliases) {
  code = trim(code);
  const size_t in = find_in(code);
  if (in == code.npos) return std::nullopt;
  const std::string_view range = trim(code.substr(in + 4, code.size() - in - 5));
  constexpr std::string_view kRange = "range(";
  if (!range.starts_with(kRange) || !range.ends_with(')')) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const std::string_view one :
       split(range.substr(kRange.size(), range.size() - kRange.size() - 1), ',')) {
    const auto number = known_number(one, aliases);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  if (numbers.empty() || numbers.size() > 3) return std::nullopt;
  if (numbers.size() == 1) numbers.insert(numbers.begin(), 0);
  const int64_t step = numbers.size() == 3 ? numbers[2] : 1;
  Loop loop{read_targets(code.substr(3, in - 3)), {}};
  if (step == 0 || loop.targets.size() != 1) return std::nullopt;
  for (int64_t i = numbers[0]; step > 0 ? i < numbers[1] : i > numbers[1]; i += step) {
    if (loop.turns.size() == kMaxTurns) return std::nullopt;
    loop.turns.push_back({{std::to_string(i), nullptr}});
  }
  return loop;
}

/// Whether the word NAME stands in TEXT.
bool mentions(std::string_view text, std::string_view name) {
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !is_name_char(text[at - 1])) &&
        (end == text.size() || !is_name_char(text[end]))) {
      return true;
    }
  }
  return false;
}

/// Whether LINE, as far as one can see, gives NAME another value.
bool assigns(std::string_view line, std::string_view name) {
  const std::string_view code = trim(without_comment(line));
  if (begins_with_word(code, "for")) return mentions(code.substr(0, code.find(" in ")), name);
  for (size_t at = code.find('='); at != code.npos; at = code.find('=', at + 1)) {
    const bool compares =
        (at + 1 < code.size() && code[at + 1] == '=') ||
        (at > 0 && std::string_view("=<>!").find(code[at - 1]) != std::string_view::npos);
    if (!compares) return mentions(code.substr(0, at), name);
  }
  return false;
}

/// The loop over modules that CODE, a statement without comment, begins.
std::optional<Loop> read_loop(std::string_view code, const std::vector<Alias>& aliases) {
  code = trim(code);
  const size_t in = find_in(code);
  if (in == code.npos) return std::nullopt;
  const auto turns = Iterable(aliases).read(code.substr(in + 4, code.size() - in - 5));
  if (!turns) return std::nullopt;
  Loop loop{read_targets(code.substr(3, in - 3)), *turns};
  for (const auto& turn : loop.turns) {
    if (turn.size() != loop.targets.size()) return std::nullopt;
  }
  return loop;
}

/// Where the bracket that TEXT begins with closes, or npos.
size_t closing_bracket(std::string_view text) {
  size_t found = text.npos;
  visit_unquoted(text, [&](size_t i, int depth) {
    if (depth == 0) found = i;
    return depth != 0;
  });
  return found;
}

/// Where the only `for` between the brackets of TEXT stands that is in no brackets within, or npos.
size_t find_outer_for(std::string_view text) {
  size_t found = text.npos;
  size_t count = 0;
  visit_unquoted(text, [&](size_t i, int depth) {
    if (depth != 1 || text[i] != ' ' || !begins_with_word(text.substr(i + 1), "for")) return true;
    found = i + 1;
    return ++count < 2;
  });
  return count == 1 ? found : text.npos;
}

class Unroller {
 public:
  Unroller(const std::vector<TextLine>& lines, const yaml::Node& node)
      : lines_(lines), kinds_(line_kinds(lines)), node_(node) {}

  /// Lines [BEGIN, END). LEAVES: whether break and continue would leave a loop that is gone.
  Status block(size_t begin, size_t end, const std::vector<Alias>& aliases, bool leaves) {
    if (++depth_ > kMaxDepth) return error(begin - 1, 0, "more than 100 loops within each other");
    auto status = block_within(begin, end, aliases, leaves);
    --depth_;
    return status;
  }

  std::vector<TextLine> take() { return std::move(out_); }

 private:
  Status block_within(size_t begin, size_t end, const std::vector<Alias>& aliases, bool leaves) {
    for (size_t i = begin; i < end;) {
      const std::string_view code = without_comment(lines_[i].text);
      const std::string_view word = trim(code);
      if (kinds_[i] == LineKind::text) {
        MLC_CHECK(emit(lines_[i++]));
        continue;
      }
      if (kinds_[i] == LineKind::continuation) {
        MLC_CHECK(rewrite(lines_[i++], aliases));
        continue;
      }
      if (leaves && (begins_with_word(word, "break") || begins_with_word(word, "continue"))) {
        return error(i, indent_of(code),
                     std::string(word) + " cannot leave a loop over modules, which is written out");
      }
      const size_t body_end = end_of_body(i, end);
      if (begins_with_word(word, "for") || begins_with_word(word, "while")) {
        MLC_CHECK(refuse_else(i, body_end, end));
      }
      if (const auto loop = loop_over_modules(i, body_end, aliases)) {
        MLC_CHECK(write_out(*loop, i, body_end, aliases));
        i = body_end;
      } else if (begins_with_word(word, "for") || begins_with_word(word, "while")) {
        MLC_CHECK(rewrite(lines_[i], aliases));
        MLC_CHECK(block(i + 1, body_end, aliases, false));
        i = body_end;
      } else {
        MLC_CHECK(rewrite(lines_[i++], aliases));
      }
    }
    return {};
  }

  /// The loop that line HEADER begins, if it goes over modules or its number is an index of some.
  std::optional<Loop> loop_over_modules(size_t header, size_t end,
                                        const std::vector<Alias>& aliases) const {
    const std::string_view code = without_comment(lines_[header].text);
    if (auto loop = read_loop(code, aliases)) return loop;
    auto loop = read_count(code, aliases);
    if (!loop || !is_constant(loop->targets[0], header + 1, end)) return std::nullopt;
    std::vector<Alias> inner = aliases;
    inner.push_back({loop->targets[0], "0", nullptr});
    for (size_t i = header + 1; i < end; ++i) {
      if (indexes_modules(without_comment(lines_[i].text), inner)) return loop;
    }
    return std::nullopt;
  }

  /// Whether the last one of ALIASES, a number, is an index of modules in CODE.
  static bool indexes_modules(std::string_view code, const std::vector<Alias>& aliases) {
    for (size_t i = 0; i < code.size(); ++i) {
      if (!is_name_start(code[i]) || (i > 0 && (is_name_char(code[i - 1]) || code[i - 1] == '.'))) {
        continue;
      }
      const auto path = read_module_path(code.substr(i), aliases);
      if (path && path->counted && mentions(code.substr(i, path->length), aliases.back().name)) {
        return true;
      }
    }
    return false;
  }

  /// Whether no line in [BEGIN, END) gives NAME another value.
  bool is_constant(std::string_view name, size_t begin, size_t end) const {
    return std::none_of(lines_.begin() + static_cast<std::ptrdiff_t>(begin),
                        lines_.begin() + static_cast<std::ptrdiff_t>(end),
                        [name](const TextLine& line) { return assigns(line.text, name); });
  }

  /// Behind the last line that is indented deeper than line HEADER, or belongs to one that is.
  size_t end_of_body(size_t header, size_t end) const {
    const size_t indent = indent_of(lines_[header].text);
    size_t i = header + 1;
    while (i < end && (kinds_[i] != LineKind::statement || indent_of(lines_[i].text) > indent)) ++i;
    return i;
  }

  Error error(size_t line, size_t offset, std::string message, std::string hint = {}) const {
    const Position& at = lines_[line].from.position;
    const size_t column = at.column + written_column(lines_[line], offset) - 1;
    return node_.error_at(at.line, column, std::move(message), std::move(hint));
  }

  /// `else:` at BODY_END, behind the loop that line HEADER begins: a loop that is written out would
  /// leave it to the last `if True:`, which never runs it.
  Status refuse_else(size_t header, size_t body_end, size_t end) const {
    if (body_end >= end) return {};
    const std::string_view code = lines_[body_end].text;
    const size_t indent = indent_of(code);
    if (indent != indent_of(lines_[header].text)) return {};
    if (!begins_with_word(code.substr(indent), "else")) return {};
    return error(body_end, indent, "TorchScript has no else behind a loop",
                 "what is set before break tells behind the loop how it ended");
  }

  Status write_out(const Loop& loop, size_t header, size_t end, const std::vector<Alias>& aliases) {
    const SourceLine& from = lines_[header].from;
    const std::string indent(indent_of(lines_[header].text), ' ');
    if (loop.turns.empty()) return emit({indent + "pass", from});
    for (const auto& turn : loop.turns) {
      std::vector<Alias> inner = aliases;
      for (size_t i = 0; i < turn.size(); ++i) {
        if (turn[i].module != nullptr) {
          inner.push_back({loop.targets[i], turn[i].text, turn[i].module});
        } else {
          MLC_CHECK(emit({indent + loop.targets[i] + " = " + turn[i].text, from}));
          if (is_constant(loop.targets[i], header + 1, end)) {
            inner.push_back({loop.targets[i], turn[i].text, nullptr});
          }
        }
      }
      MLC_CHECK(emit({indent + "if True:", from}));
      MLC_CHECK(block(header + 1, end, inner, true));
    }
    return {};
  }

  Error too_long() const {
    return node_.error(
        "the loops over modules in this text become more than 100,000 lines or "
        "16 MB");
  }

  Status emit(TextLine line) {
    bytes_ += line.text.size();
    if (out_.size() >= kMaxLines || bytes_ > kMaxBytes) {
      return too_long();
    }
    out_.push_back(std::move(line));
    return {};
  }

  /// Exchanges the references to modules in one line.
  Status rewrite(const TextLine& line, const std::vector<Alias>& aliases) {
    TextLine out{{}, line.from};
    if (write_condition(line, aliases, out)) return emit(std::move(out));
    MLC_CHECK(rewrite_part(line, 0, line.text.size(), aliases, out));
    return emit(std::move(out));
  }

  /// `if i > 0:` in a loop that is written out, as what it is in this turn: the compiler does not
  /// look into what is never run.
  static bool write_condition(const TextLine& line, const std::vector<Alias>& aliases,
                              TextLine& out) {
    const std::string_view text = without_comment(line.text);
    const size_t indent = indent_of(text);
    const std::string_view code = trim(text);
    for (const std::string_view word : {"if", "elif"}) {
      if (!begins_with_word(code, word) || !code.ends_with(':')) continue;
      const std::string_view condition = code.substr(word.size(), code.size() - word.size() - 1);
      const bool in_turn = std::any_of(aliases.begin(), aliases.end(), [&](const Alias& one) {
        return one.module == nullptr && mentions(condition, one.name);
      });
      const auto known = in_turn ? known_condition(condition, aliases) : std::nullopt;
      if (!known) return false;
      out.text = std::string(indent, ' ') + std::string(word) + (*known ? " True:" : " False:");
      return true;
    }
    return false;
  }

  /// The characters [BEGIN, END) of LINE.
  Status rewrite_part(const TextLine& line, size_t begin, size_t end,
                      const std::vector<Alias>& aliases, TextLine& out) const {
    const std::string_view text = std::string_view(line.text).substr(0, end);
    const size_t code_end = without_comment(line.text).size();
    Quotes quotes;
    for (size_t i = begin; i < end;) {
      if (i >= code_end) {
        out.text += text.substr(i);
        break;
      }
      const char c = text[i];
      const bool quoted = quotes.hold(c);
      if (!quoted && (c == '[' || c == '{')) {
        MLC_TRY(const size_t taken, rewrite_comprehension(line, i, end, aliases, out));
        i += taken;
        if (taken != 0) continue;
      } else if (!quoted && is_name_start(c) && (i == 0 || !is_name_char(text[i - 1]))) {
        MLC_TRY(const size_t taken, rewrite_name(text, i, line, aliases, out));
        i += taken;
        continue;
      }
      out.text += c;
      ++i;
    }
    return {};
  }

  /// `[f(x) for f in self.blocks]` at BEGIN as the list of its values; how many characters it was,
  /// 0 where there is none.
  Result<size_t> rewrite_comprehension(const TextLine& line, size_t begin, size_t end,
                                       const std::vector<Alias>& aliases, TextLine& out) const {
    const std::string_view text = std::string_view(line.text).substr(begin, end - begin);
    const size_t close = closing_bracket(text);
    const size_t at = close == text.npos ? close : find_outer_for(text.substr(0, close));
    if (at == text.npos) return size_t{0};
    const auto loop = text.front() == '['
                          ? read_loop(std::string(text.substr(at, close - at)) + ":", aliases)
                          : std::nullopt;
    const auto numbers = [](const auto& turn) { return turn.front().module == nullptr; };
    if (!loop || std::any_of(loop->turns.begin(), loop->turns.end(), numbers)) {
      return keep_comprehension(line, begin, begin + at, begin + close, aliases, out);
    }
    out.text += '[';
    for (const auto& turn : loop->turns) {
      std::vector<Alias> inner = aliases;
      for (size_t i = 0; i < turn.size(); ++i) {
        inner.push_back({loop->targets[i], turn[i].text, turn[i].module});
      }
      if (&turn != &loop->turns.front()) out.text += ", ";
      out.from.shifts.push_back({out.text.size() + 1, written_column(line, begin + 1)});
      MLC_CHECK(rewrite_part(line, begin + 1, begin + at - 1, inner, out));
      if (out.text.size() > kMaxBytes) return too_long();
    }
    out.text += ']';
    out.from.shifts.push_back({out.text.size() + 1, written_column(line, begin + close + 1)});
    return close + 1;
  }

  /// The comprehension from BEGIN to CLOSE, whose `for` stands AT, as it is: only its own variables
  /// have other values in it than outside.
  Result<size_t> keep_comprehension(const TextLine& line, size_t begin, size_t at, size_t close,
                                    const std::vector<Alias>& aliases, TextLine& out) const {
    const std::string_view text = line.text;
    const size_t in = text.find(" in ", at);
    if (in >= close) return size_t{0};
    std::vector<Alias> inner = aliases;
    for (const std::string& name : read_targets(text.substr(at + 3, in - at - 3))) {
      std::erase_if(inner, [&](const Alias& one) { return one.name == name; });
    }
    out.text += text[begin];
    MLC_CHECK(rewrite_part(line, begin + 1, in, inner, out));
    MLC_CHECK(rewrite_part(line, in, close, aliases, out));
    out.text += text[close];
    return close + 1 - begin;
  }

  /// Writes the name at OFFSET, or what stands for it, to OUT; how many characters it was.
  Result<size_t> rewrite_name(std::string_view text, size_t offset, const TextLine& line,
                              const std::vector<Alias>& aliases, TextLine& out) const {
    const std::string_view rest = text.substr(offset);
    const bool attribute = offset > 0 && text[offset - 1] == '.';
    if (!attribute) {
      if (const auto length = read_len(rest, aliases)) {
        return exchange(std::to_string(length->second), length->first, line, offset, out);
      }
      const auto path = read_module_path(rest, aliases);
      if (path && !path->bad_index.empty()) {
        return node_.error_at(line.from.position.line,
                              line.from.position.column + written_column(line, offset) - 1,
                              path->bad_index);
      }
      if (path && path->changed && !is_keyword(rest, *path)) {
        return exchange(path->text, path->length, line, offset, out);
      }
    }
    size_t length = 1;
    while (length < rest.size() && is_name_char(rest[length])) ++length;
    out.text += rest.substr(0, length);
    return length;
  }

  /// `block=...`: the name of an argument or a new variable, not the module.
  static bool is_keyword(std::string_view rest, const ModulePath& path) {
    const std::string_view after = trim(rest.substr(path.length));
    return after.starts_with('=') && !after.starts_with("==");
  }

  static size_t exchange(const std::string& replacement, size_t length, const TextLine& line,
                         size_t offset, TextLine& out) {
    out.from.shifts.push_back({out.text.size() + 1, written_column(line, offset)});
    out.text += replacement;
    out.from.shifts.push_back({out.text.size() + 1, written_column(line, offset + length)});
    return length;
  }

  const std::vector<TextLine>& lines_;
  std::vector<LineKind> kinds_;
  const yaml::Node& node_;
  std::vector<TextLine> out_;
  size_t bytes_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<std::vector<TextLine>> unroll(const std::vector<TextLine>& lines, const ScriptModule& module,
                                     const yaml::Node& node) {
  Unroller unroller(lines, node);
  MLC_CHECK(unroller.block(0, lines.size(), {{"self", "self", &module}}, false));
  return unroller.take();
}

}  // namespace mlc::arch
