#include "mlc/base/source_text.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <utility>

namespace mlc {
namespace {

constexpr size_t kContextWidth = 72;

std::string_view line_of(std::string_view text, size_t line) {
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_of("\r\n"));
}

}  // namespace

Error error_at(ErrorKind kind, const std::string& file, std::string_view text, size_t line,
               size_t column, std::string message, std::string hint) {
  std::string_view shown = line_of(text, line);
  size_t caret = std::min(column > 0 ? column - 1 : 0, shown.size());
  if (shown.size() > kContextWidth) {
    const size_t begin = caret > kContextWidth / 2 ? caret - kContextWidth / 2 : 0;
    shown = shown.substr(begin, kContextWidth);
    caret -= begin;
  }
  const std::string before = printable(shown.substr(0, caret));
  std::string out = std::to_string(line) + ":" + std::to_string(column) + ": " + message;
  // An empty line, or one beyond the end, shows nothing.
  if (shown.empty()) return Error(kind, std::move(out), std::move(hint)).in_file(file);
  out += "\n  " + before + printable(shown.substr(caret)) + "\n  " +
         std::string(before.size(), ' ') + "^";
  return Error(kind, std::move(out), std::move(hint)).in_file(file);
}

}  // namespace mlc
