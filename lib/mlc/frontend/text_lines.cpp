#include "mlc/frontend/text_lines.h"

#include "mlc/base/text.h"
#include "mlc/frontend/module_path.h"

#include <algorithm>
#include <utility>

namespace mlc::arch {
namespace {

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
    Quotes quotes;
    for (size_t i = 0; i < code.size(); ++i) {
      const char c = code[i];
      const std::string_view three = code.substr(i, 3);
      if (!triple_.empty()) {
        if (c == '\\') {
          ++i;
        } else if (three == triple_) {
          triple_ = {};
          i += 2;
        }
      } else if (!quotes.open() && (three == kDouble || three == kSingle)) {
        triple_ = three == kDouble ? kDouble : kSingle;
        i += 2;
      } else if (!quotes.hold(c)) {
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

/// Where the statements of CODE end at semicolons, which are in no quotes or brackets.
std::vector<size_t> semicolons(std::string_view code) {
  std::vector<size_t> out;
  visit_unquoted(code, [&](size_t i, int depth) {
    if (code[i] == ';' && depth == 0) out.push_back(i);
    return true;
  });
  return out;
}

bool begins_block(std::string_view code) {
  static constexpr std::string_view kWords[] = {"if",    "elif", "else", "for",
                                                "while", "with", "def"};
  return std::ranges::any_of(
      kWords, [code](std::string_view word) { return begins_with_word(code, word); });
}

/// Where what follows the colon of CODE, which begins a block, begins on the same line; 0 where
/// nothing does.
size_t block_on_line(std::string_view code) {
  size_t colon = code.npos;
  visit_unquoted(code, [&](size_t i, int depth) {
    if (code[i] == ':' && depth == 0) colon = i;
    return colon == code.npos;
  });
  if (colon == code.npos || trim(code.substr(colon + 1)).empty()) return 0;
  return code.substr(colon).starts_with(":=") ? 0 : colon + 1;
}

/// The part [BEGIN, END) of LINE, indented as the whole and by DEEPER.
TextLine part_of(const TextLine& line, size_t begin, size_t end, size_t deeper = 0) {
  const std::string_view text = line.text;
  const size_t first = std::min(text.find_first_not_of(' ', begin), end);
  const size_t indent = indent_of(text) + deeper;
  TextLine out{std::string(indent, ' ') + std::string(text.substr(first, end - first)), line.from};
  out.from.shifts.push_back({indent + 1, first + 1});
  return out;
}

}  // namespace

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

std::vector<LineKind> line_kinds(const std::vector<TextLine>& lines) {
  std::vector<LineKind> out;
  LineScanner scanner;
  for (const TextLine& line : lines) out.push_back(scanner.next(line.text));
  return out;
}

std::string_view without_comment(std::string_view text) {
  Quotes quotes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!quotes.hold(text[i]) && text[i] == '#') return text.substr(0, i);
  }
  return text;
}

bool begins_with_word(std::string_view code, std::string_view word) {
  return code.starts_with(word) && (code.size() == word.size() || !is_name_char(code[word.size()]));
}

size_t written_column(const TextLine& line, size_t offset) {
  size_t column = offset + 1;
  for (const ColumnShift& shift : line.from.shifts) {
    if (shift.source <= offset + 1) column = shift.yaml + (offset + 1 - shift.source);
  }
  return column;
}

void split_statements(std::vector<TextLine>& lines) {
  constexpr size_t kDeeper = 4;
  const std::vector<LineKind> kinds = line_kinds(lines);
  std::vector<TextLine> out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view code = without_comment(lines[i].text);
    const bool block = begins_block(trim(code));
    size_t begin = kinds[i] == LineKind::statement && block ? block_on_line(code) : 0;
    const size_t deeper = begin > 0 ? kDeeper : 0;
    const bool splits = kinds[i] == LineKind::statement && (!block || begin > 0);
    if (begin > 0) out.push_back(part_of(lines[i], 0, begin));
    for (const size_t end : splits ? semicolons(code) : std::vector<size_t>()) {
      out.push_back(part_of(lines[i], begin, end, deeper));
      begin = end + 1;
    }
    if (begin == 0) {
      out.push_back(std::move(lines[i]));
    } else if (!trim(code.substr(begin)).empty()) {
      out.push_back(part_of(lines[i], begin, lines[i].text.size(), deeper));
    }
  }
  lines = std::move(out);
}

}  // namespace mlc::arch
