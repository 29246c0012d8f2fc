#include "mlc/frontend/unroll.h"

#include "mlc/base/text.h"
#include "mlc/frontend/module_path.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace mlc::arch {
namespace {

constexpr size_t kMaxLines = 100'000;
constexpr size_t kMaxBytes = 16U << 20U;
constexpr int kMaxDepth = 100;  // of loops within loops

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

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

/// TEXT without a trailing comment. Quotes are respected.
std::string_view without_comment(std::string_view text) {
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    if (quote != '\0') {
      if (text[i] == quote) quote = '\0';
    } else if (text[i] == '"' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == '#') {
      return text.substr(0, i);
    }
  }
  return text;
}

enum class LineKind {
  statement,     // begins one
  continuation,  // blank, or within brackets that an earlier line opened
  text           // within a string of several lines
};

/// Reads line after line and knows what each begins in.
class LineScanner {
 public:
  LineKind next(std::string_view line) {
    const bool in_text = !triple_.empty();
    const std::string_view code = in_text ? line : trim(without_comment(line));
    const bool starts = !in_text && depth_ <= 0 && !continued_ && !code.empty();
    scan(code);
    continued_ = code.ends_with('\\');
    return in_text ? LineKind::text : starts ? LineKind::statement : LineKind::continuation;
  }

 private:
  void scan(std::string_view code) {
    char quote = '\0';
    for (size_t i = 0; i < code.size(); ++i) {
      const char c = code[i];
      const std::string_view three = code.substr(i, 3);
      if (!triple_.empty()) {
        if (three == triple_) triple_ = {}, i += 2;
      } else if (quote != '\0') {
        if (c == quote) quote = '\0';
      } else if (three == kDouble || three == kSingle) {
        triple_ = three == kDouble ? kDouble : kSingle;
        i += 2;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else {
        depth_ += c == '(' || c == '[' || c == '{' ? 1 : 0;
        depth_ -= c == ')' || c == ']' || c == '}' ? 1 : 0;
      }
    }
  }

  static constexpr std::string_view kDouble = "\"\"\"";
  static constexpr std::string_view kSingle = "\'\'\'";
  std::string_view triple_;  // what ends the string of several lines that is open
  int depth_ = 0;
  bool continued_ = false;
};

std::vector<LineKind> line_kinds(const std::vector<TextLine>& lines) {
  std::vector<LineKind> out;
  LineScanner scanner;
  for (const TextLine& line : lines) out.push_back(scanner.next(line.text));
  return out;
}

bool begins_with_word(std::string_view code, std::string_view word) {
  return code.starts_with(word) && (code.size() == word.size() || !is_name_char(code[word.size()]));
}

/// Reads the iterable of a loop; nothing where it is no list of modules.
class Iterable {
 public:
  explicit Iterable(const std::vector<Alias>& aliases) : aliases_(aliases) {}

  std::optional<Turns> read(std::string_view text) const {
    text = trim(text);
    if (const auto inner = argument_of(text, "enumerate")) return enumerated(*inner);
    if (const auto inner = argument_of(text, "zip")) return zipped(*inner);
    const auto path = read_module_path(text, aliases_);
    if (!path || !path->bad_index.empty() || !is_container(*path->module)) return std::nullopt;
    const std::string_view rest = trim(text.substr(path->length));
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

/// The loop over modules that CODE, a statement without comment, begins.
std::optional<Loop> read_loop(std::string_view code, const std::vector<Alias>& aliases) {
  code = trim(code);
  const size_t in = code.find(" in ");
  if (!begins_with_word(code, "for") || in == code.npos || !code.ends_with(':')) {
    return std::nullopt;
  }
  const auto turns = Iterable(aliases).read(code.substr(in + 4, code.size() - in - 5));
  if (!turns) return std::nullopt;
  Loop loop{read_targets(code.substr(3, in - 3)), *turns};
  for (const auto& turn : loop.turns) {
    if (turn.size() != loop.targets.size()) return std::nullopt;
  }
  return loop;
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
      if (const auto loop = read_loop(code, aliases)) {
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

  /// Behind the last line that is indented deeper than line HEADER, or belongs to one that is.
  size_t end_of_body(size_t header, size_t end) const {
    const size_t indent = indent_of(lines_[header].text);
    size_t i = header + 1;
    while (i < end && (kinds_[i] != LineKind::statement || indent_of(lines_[i].text) > indent)) ++i;
    return i;
  }

  Error error(size_t line, size_t offset, std::string message) const {
    const Position& at = lines_[line].from.position;
    return node_.error_at(at.line, at.column + offset, std::move(message));
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
        }
      }
      MLC_CHECK(emit({indent + "if True:", from}));
      MLC_CHECK(block(header + 1, end, inner, true));
    }
    return {};
  }

  Status emit(TextLine line) {
    bytes_ += line.text.size();
    if (out_.size() >= kMaxLines || bytes_ > kMaxBytes) {
      return node_.error(
          "the loops over modules in this text become more than 100,000 lines or "
          "16 MB");
    }
    out_.push_back(std::move(line));
    return {};
  }

  /// Exchanges the references to modules in one line.
  Status rewrite(const TextLine& line, const std::vector<Alias>& aliases) {
    const std::string_view text = line.text;
    const size_t code_end = without_comment(text).size();
    TextLine out{{}, line.from};
    char quote = '\0';
    for (size_t i = 0; i < text.size();) {
      const char c = text[i];
      if (quote != '\0' || c == '"' || c == '\'') {
        if (quote == '\0')
          quote = c;
        else if (c == quote)
          quote = '\0';
      } else if (i < code_end && is_name_start(c) && (i == 0 || !is_name_char(text[i - 1]))) {
        MLC_TRY(const size_t taken, rewrite_name(text, i, line, aliases, out));
        i += taken;
        continue;
      }
      out.text += c;
      ++i;
    }
    return emit(std::move(out));
  }

  /// Writes the name at OFFSET, or what stands for it, to OUT; how many characters it was.
  Result<size_t> rewrite_name(std::string_view text, size_t offset, const TextLine& line,
                              const std::vector<Alias>& aliases, TextLine& out) const {
    const std::string_view rest = text.substr(offset);
    const bool attribute = offset > 0 && text[offset - 1] == '.';
    if (!attribute) {
      if (const auto length = read_len(rest, aliases)) {
        return exchange(length->second, length->first, offset, out);
      }
      const auto path = read_module_path(rest, aliases);
      if (path && !path->bad_index.empty()) {
        return node_.error_at(line.from.position.line, line.from.position.column + offset,
                              path->bad_index);
      }
      if (path && path->changed && !is_keyword(rest, *path)) {
        return exchange(path->text, path->length, offset, out);
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

  /// "len(self.blocks)": its length as text and its number of modules.
  static std::optional<std::pair<size_t, std::string>> read_len(std::string_view rest,
                                                                const std::vector<Alias>& aliases) {
    if (!rest.starts_with("len(")) return std::nullopt;
    const auto path = read_module_path(rest.substr(4), aliases);
    if (!path || !path->bad_index.empty() || !is_container(*path->module)) return std::nullopt;
    if (!rest.substr(4 + path->length).starts_with(')')) return std::nullopt;
    return std::pair(path->length + 5, std::to_string(path->module->children.size()));
  }

  static size_t exchange(const std::string& replacement, size_t length, size_t offset,
                         TextLine& out) {
    out.from.shifts.push_back({out.text.size() + 1, offset + 1});
    out.text += replacement;
    out.from.shifts.push_back({out.text.size() + 1, offset + length + 1});
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
