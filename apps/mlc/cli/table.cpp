#include "cli/table.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

namespace mlc::cli {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 12;
// One long name must not push the other columns of every row out of sight.
constexpr size_t kWidestPadding = 80;

bool is_plain_ascii(std::string_view text) {
  unsigned odd = 0;  // without an early exit, so that the loop is vectorised
  for (const char c : text)
    odd |= static_cast<unsigned>(c < 0x20) | static_cast<unsigned>(c == 0x7F);
  return odd == 0;
}

// The code point of a well-formed sequence.
uint32_t decode(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  uint32_t code = sequence.size() == 1 ? lead : lead & (0xFFU >> (sequence.size() + 1));
  for (const char c : sequence.substr(1))
    code = code << 6U | (static_cast<unsigned char>(c) & 0x3FU);
  return code;
}

// Ranges of Unicode's East Asian Width W and F (UAX 11), without the rare ones.
bool is_wide(uint32_t code) {
  return (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
         (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
}

// Calls TAKE(sequence, width) for each character until it returns false.
template <class Take>
void each_character(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const size_t length = std::max<size_t>(utf8_length(text), 1);
    const std::string_view sequence = text.substr(0, length);
    if (!take(sequence, length > 1 && is_wide(decode(sequence)) ? size_t{2} : size_t{1})) return;
    text.remove_prefix(length);
  }
}

// The longest prefix of TEXT that fits WIDTH columns, in bytes.
size_t prefix_bytes(std::string_view text, size_t width) {
  size_t bytes = 0;
  size_t used = 0;
  each_character(text, [&](std::string_view sequence, size_t w) {
    if (used + w > width) return false;
    used += w;
    bytes += sequence.size();
    return true;
  });
  return bytes;
}

}  // namespace

size_t display_width(std::string_view text) {
  if (is_plain_ascii(text)) return text.size();
  size_t width = 0;
  each_character(text, [&](std::string_view, size_t w) {
    width += w;
    return true;
  });
  return width;
}

std::string shortened(std::string_view text, size_t width) {
  const size_t full = display_width(text);
  if (full <= width) return std::string(text);
  if (width < 4) return std::string(text.substr(0, prefix_bytes(text, width)));
  const size_t head = (width - 3) / 2;
  const size_t tail = width - 3 - head;
  // The tail begins at the first character that leaves at most TAIL columns.
  const size_t skip = prefix_bytes(text, full - tail);
  std::string_view end = text.substr(skip);
  if (display_width(end) > tail) end.remove_prefix(std::max<size_t>(utf8_length(end), 1));
  return std::string(text.substr(0, prefix_bytes(text, head))) + "..." + std::string(end);
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (const Column& column : columns_) widths_.push_back(display_width(column.title));
}

void Table::reserve(size_t rows) {
  constexpr size_t kUsualRow = 64;
  cells_.reserve(rows * columns_.size());
  text_.reserve(rows * kUsualRow);
}

void Table::cell(std::string_view text) {
  const size_t column = cells_.size() % columns_.size();
  const size_t begin = text_.size();
  size_t width = text.size();
  if (is_plain_ascii(text)) {
    text_ += text;
  } else {
    text_ += printable(text);
    width = display_width(std::string_view(text_).substr(begin));
  }
  cells_.push_back({static_cast<uint32_t>(text_.size() - begin), static_cast<uint32_t>(width)});
  widths_[column] = std::max(widths_[column], width);
}

void Table::add(std::initializer_list<std::string_view> cells) {
  assert(cells.size() == columns_.size());
  for (const std::string_view text : cells) cell(text);
}

const char* Table::append_row(std::string& line, const Cell* cells, const char* text,
                              const std::vector<size_t>& widths, bool cuts) const {
  size_t owed = 0;  // blanks that are written only if something follows: no trailing space
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Cell& cell = cells[i];
    const bool wider = cell.width > widths[i];
    const bool cut = wider && cuts;
    const size_t pad = wider ? 0 : widths[i] - cell.width;
    const bool right = columns_[i].align == Align::right;
    if (right) owed += pad;
    if (cell.size > 0) {
      line.append(owed, ' ');
      owed = 0;
      if (cut) {
        line += shortened({text, cell.size}, widths[i]);
      } else {
        line.append(text, cell.size);
      }
    }
    owed += (right ? 0 : pad) + kGap;
    text += cell.size;
  }
  return text;
}

void Table::render(Writer& out, size_t width, bool bold) const {
  std::vector<size_t> widths = widths_;
  const auto flexible = std::ranges::find(columns_, true, &Column::flexible);
  const size_t total = std::accumulate(widths.begin(), widths.end(), kGap * (columns_.size() - 1));
  const bool cuts = width > 0;
  if (flexible != columns_.end()) {
    size_t& give = widths[static_cast<size_t>(flexible - columns_.begin())];
    if (!cuts) {
      give = std::min(give, kWidestPadding);
    } else if (total > width) {
      const size_t excess = total - width;
      give = std::max(give > excess ? give - excess : 0, std::min(give, kNarrowest));
    }
  }
  Table titles(columns_);
  for (const Column& column : columns_) titles.cell(column.title);
  std::string line;
  titles.append_row(line, titles.cells_.data(), titles.text_.data(), widths, cuts);
  out.line(bold ? "\x1b[1m" + line + "\x1b[0m" : line);
  std::string& pending = out.pending();
  const char* text = text_.data();
  for (size_t i = 0; i < cells_.size(); i += columns_.size()) {
    text = append_row(pending, &cells_[i], text, widths, cuts);
    pending += '\n';
    out.settle();
  }
}

}  // namespace mlc::cli
