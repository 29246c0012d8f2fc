#include "mlc/frontend/python_lines.h"

#include "mlc/frontend/python_reading.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mlc::arch {
namespace {

/// LINE with CHANGES, ascending, whose offsets are in it.
void change(TextLine& line, const std::vector<TextChange>& changes) {
  std::vector<ColumnShift> shifts;
  auto old = line.from.shifts.begin();
  std::string text;
  size_t copied = 0;
  const auto move_shifts = [&](size_t up_to) {
    for (; old != line.from.shifts.end() && old->source <= up_to; ++old) {
      shifts.push_back({old->source + text.size() - copied, old->yaml});
    }
  };
  for (const TextChange& one : changes) {
    move_shifts(one.offset);
    text += std::string_view(line.text).substr(copied, one.offset - copied);
    const size_t column = written_column(line, one.offset);
    copied = one.offset + one.replaces;
    shifts.push_back({text.size() + 1, column});
    text += one.text;
    shifts.push_back({text.size() + 1, column});
    shifts.push_back({text.size() + 1, written_column(line, copied)});
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

Error cannot_repeat(const TextLine& line, size_t offset, ComputedTwice::What what,
                    const yaml::Node& node) {
  const Position& at = line.from.position;
  const size_t column = at.column + written_column(line, offset) - 1;
  if (what == ComputedTwice::What::target) {
    return node.error_at(at.line, column,
                         "TorchScript computes something else by this, and written out it would "
                         "compute its target twice",
                         "give the index a name in a line before");
  }
  return node.error_at(at.line, column,
                       "TorchScript has no chained comparisons, and written out this one would "
                       "compute its middle twice",
                       "write it with `and`: y = f(x), then a < y and y < b");
}

}  // namespace

Status write_as_python(std::vector<TextLine>& lines, const yaml::Node& node) {
  const std::vector<LineKind> kinds = line_kinds(lines);
  for (size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
    end = begin + 1;
    while (end < lines.size() && kinds[end] != LineKind::statement) ++end;
    const Statement statement(lines, begin, end);
    const PythonReading reading = read_as_python(statement.code);
    if (const auto& twice = reading.twice) {
      const size_t line = statement.line_of(twice->offset);
      return cannot_repeat(lines[begin + line], twice->offset - statement.begins[line], twice->what,
                           node);
    }
    std::vector<std::vector<TextChange>> by_line(end - begin);
    for (const TextChange& one : reading.changes) {
      const size_t line = statement.line_of(one.offset);
      by_line[line].push_back({one.offset - statement.begins[line], one.replaces, one.text});
    }
    for (size_t i = 0; i < by_line.size(); ++i) {
      if (!by_line[i].empty()) change(lines[begin + i], by_line[i]);
    }
  }
  return {};
}

}  // namespace mlc::arch
