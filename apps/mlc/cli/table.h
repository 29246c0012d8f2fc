// Aligned text tables: one row a line, columns separated by two spaces, no frames, so that grep,
// awk and sort work on them.
#pragma once

#include "cli/writer.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
  /// The column that gives way when a terminal is too narrow; at most one.
  bool flexible = false;
};

/// Columns (terminal cells) that TEXT takes: code points, East Asian wide ones twice.
size_t display_width(std::string_view text);
/// TEXT cut in its middle to WIDTH columns: "encoder...weight".
std::string shortened(std::string_view text, size_t width);

/// Holds all rows until render(), because widths depend on all. Cells are made harmless with
/// printable(), so they may come straight from a file.
class Table {
 public:
  explicit Table(std::vector<Column> columns);

  /// Makes room for ROWS, so that a long table is not moved as it grows.
  void reserve(size_t rows);
  /// A row. Requires: as many CELLS as columns.
  void add(std::initializer_list<std::string_view> cells);
  /// The next cell of a row that is made piece by piece; after the last column comes the next row.
  void cell(std::string_view text);
  size_t rows() const { return cells_.size() / columns_.size(); }

  /// Writes titles and rows. WIDTH: of the terminal, 0 where stdout is none; then nothing is cut,
  /// and a cell of the flexible column beyond 80 columns shifts what follows in its own row only.
  /// BOLD puts the titles in bold.
  void render(Writer& out, size_t width, bool bold = false) const;

 private:
  struct Cell {
    uint32_t size;   // in bytes
    uint32_t width;  // in columns
  };
  // Appends the row whose first cell is CELLS and begins at TEXT; returns where the next one
  // begins. CUTS: a cell that is wider than its column is cut, else it overflows.
  const char* append_row(std::string& line, const Cell* cells, const char* text,
                         const std::vector<size_t>& widths, bool cuts) const;

  std::vector<Column> columns_;
  std::vector<size_t> widths_;
  std::vector<Cell> cells_;
  std::string text_;  // of all cells, one after another
};

}  // namespace mlc::cli
