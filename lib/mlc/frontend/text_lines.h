// The lines of a method as somebody wrote them, and what each begins in.
#pragma once

#include "mlc/frontend/script_module.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct TextLine {
  std::string text;
  SourceLine from;
};

enum class LineKind {
  statement,     // begins one
  continuation,  // blank, or within brackets that an earlier line opened
  text           // within a string of several lines
};

std::vector<LineKind> line_kinds(const std::vector<TextLine>& lines);

/// Characters of indentation.
size_t indent_of(std::string_view line);
/// TEXT without a trailing comment. Quotes are respected.
std::string_view without_comment(std::string_view text);
bool begins_with_word(std::string_view code, std::string_view word);

/// Knows of characters, asked of one after the other, whether they lie in quotes. A quote behind a
/// backslash ends nothing.
class Quotes {
 public:
  /// Whether the next character, C, is in quotes or one of them.
  bool hold(char c) {
    const bool was_open = open();
    if (!was_open && (c == '"' || c == '\'')) {
      open_ = c;
    } else if (was_open && c == open_ && !escaped_) {
      open_ = '\0';
    }
    escaped_ = was_open && c == '\\' && !escaped_;
    return was_open || open();
  }
  /// Whether the next character is in quotes, or ends them.
  bool open() const { return open_ != '\0'; }

 private:
  char open_ = '\0';
  bool escaped_ = false;
};

/// Calls VISIT(offset, depth) for each character of CODE that is in no quotes, with the number of
/// brackets that are open behind it, until it returns false.
template <class Visit>
void visit_unquoted(std::string_view code, const Visit& visit) {
  int depth = 0;
  Quotes quotes;
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (quotes.hold(c)) continue;
    depth += c == '(' || c == '[' || c == '{' ? 1 : 0;
    depth -= c == ')' || c == ']' || c == '}' ? 1 : 0;
    if (!visit(i, depth)) return;
  }
}

/// The column that the character at OFFSET, from 0, of LINE has in its line of the YAML, from 1.
size_t written_column(const TextLine& line, size_t offset);

/// Puts statements that share a line, `a = f(x); b = g(a)` and `if c: return a`, on lines of their
/// own: TorchScript's parser knows neither.
void split_statements(std::vector<TextLine>& lines);

}  // namespace mlc::arch
