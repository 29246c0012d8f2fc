// Parts of reports: one HTML page that needs nothing else. Plots are SVG within it, nothing is
// fetched, nothing runs. Readable on a phone and in print.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// TEXT harmless on a terminal and within HTML.
std::string escaped_html(std::string_view text);

/// A bar of a plot; MARK is a second, larger value that gets a tick.
struct Bar {
  std::string label;
  double value = 0;
  std::optional<double> mark;
  std::string text;
};

/// A section with a bar for each row. TITLE and NOTE are HTML, texts of bars are not.
std::string bar_plot(std::string_view title, std::string_view note, const std::vector<Bar>& bars);

/// A point of a plot; TITLE, which is no HTML, shows where a pointer rests on it.
struct PlotPoint {
  double x = 0;
  double y = 0;
  std::string title;
};

struct PlotAxis {
  std::string label;
  std::string (*text)(double);  // of a number beside the axis
};

/// A section with a point for each row. X must be positive and is drawn by its logarithm. TITLE and
/// NOTE are HTML. Empty without points.
std::string point_plot(std::string_view title, std::string_view note, const PlotAxis& x,
                       const PlotAxis& y, const std::vector<PlotPoint>& points);

/// A section of a page. TITLE, NOTE and BODY are HTML.
std::string html_section(std::string_view title, std::string_view note, std::string_view body);

/// Numbers stand to the right and scroll where a phone is too narrow; text wraps there.
enum class TableKind { numbers, text };

/// A table, without titles where TITLES is empty. Texts of cells are no HTML.
std::string html_table(const std::vector<std::string>& titles,
                       const std::vector<std::vector<std::string>>& rows,
                       TableKind kind = TableKind::numbers);

/// The whole page.
std::string html_page(std::string_view title, std::string_view body);

}  // namespace mlc::cli
