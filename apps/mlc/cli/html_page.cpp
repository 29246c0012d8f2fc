#include "cli/html_page.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

// Of the width of a plot; the rest is for the number behind a bar. Bars stretch with the page,
// texts do not: a plot that is scaled as a whole has letters of 7 pixels on a phone.
constexpr double kLongestBar = 55;

constexpr std::string_view kStyle = R"(
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
section { break-inside: avoid; } section.long { break-inside: auto; } h2, h2 + p { break-after: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
@media (min-width: 72rem) { td:first-child { min-width: 18rem; } }
table.text th, table.text td { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 0; vertical-align: top; }
.label { margin: .6rem 0 .1rem; font-size: .85rem; line-height: 1.3; overflow-wrap: anywhere; break-after: avoid; }
svg { display: block; width: 100%; height: 20px; } svg text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
svg.points { height: 340px; } .points line { stroke: #d0d7de; } .points circle { fill: #2f6fb3; fill-opacity: .55; }
.bar { fill: #2f6fb3; } .mark { stroke: #b3541e; stroke-width: 2; }
code { background: #f3f5f7; padding: .1rem .3rem; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } table { font-size: .7rem; } th:first-child, td:first-child { position: static; } }
)";

// A plot of points: widths in percent of the page, heights in pixels, for the same reason.
constexpr double kPlotLeft = 11;
constexpr double kPlotRight = 97;
constexpr double kPlotTop = 24;
constexpr double kPlotBottom = 300;

/// The values from LOW to HIGH go from FROM to TO.
struct Scale {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;

  double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

/// 1, 2 or 5 times a power of ten: about five of them make RANGE.
double tick_step(double range) {
  const double power = std::pow(10.0, std::floor(std::log10(range / 5)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= 6) return factor * power;
  }
  return 10 * power;
}

std::string grid_line(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{:.2f}%\" y1=\"{:.1f}\" x2=\"{:.2f}%\" y2=\"{:.1f}\"/>\n", x1, y1,
                     x2, y2);
}

std::string plot_text(double x, double y, std::string_view where, std::string_view text) {
  return fmt::format("<text x=\"{:.2f}%\" y=\"{:.1f}\" {}>{}</text>\n", x, y, where,
                     escaped_html(text));
}

/// Of Y: from the step below the smallest value to the one above the largest.
Scale linear_axis(const PlotAxis& axis, double low, double high, std::string& out) {
  constexpr double kLeastRange = 4;  // closer together, points would show noise
  const double step = tick_step(std::max(high - low, kLeastRange));
  Scale scale{std::floor(low / step) * step, std::ceil(high / step) * step, kPlotBottom, kPlotTop};
  if (scale.low == scale.high) scale.high += step;
  for (double tick = scale.low; tick <= scale.high + step / 2; tick += step) {
    const double y = scale.at(tick);
    out += grid_line(kPlotLeft, y, kPlotRight, y);
    out += plot_text(kPlotLeft, y + 4, "dx=\"-6\" text-anchor=\"end\"", axis.text(tick));
  }
  return scale;
}

/// Of the decimal logarithm of X: whole powers of ten.
Scale logarithmic_axis(const PlotAxis& axis, double low, double high, std::string& out) {
  Scale scale{std::floor(std::log10(low)), std::ceil(std::log10(high)), kPlotLeft, kPlotRight};
  if (scale.low == scale.high) scale.high += 1;
  for (double tick = scale.low; tick <= scale.high; tick += 1) {
    const double x = scale.at(tick);
    out += grid_line(x, kPlotTop, x, kPlotBottom);
    const bool last = tick + 1 > scale.high;
    out += plot_text(x, kPlotBottom + 18, last ? "text-anchor=\"end\"" : "text-anchor=\"middle\"",
                     axis.text(std::pow(10.0, tick)));
  }
  return scale;
}

}  // namespace

std::string escaped_html(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string bar_plot(std::string_view title, std::string_view note, const std::vector<Bar>& bars) {
  double most = 0;
  for (const Bar& bar : bars) most = std::max({most, bar.value, bar.mark.value_or(0)});
  const double scale = most > 0 ? kLongestBar / most : 0;
  constexpr size_t kLong = 12;  // bars, which may not fit what is left of a printed page
  std::string out = fmt::format("<section{}>\n<h2>{}</h2>\n<p>{}</p>\n",
                                bars.size() > kLong ? " class=\"long\"" : "", title, note);
  for (const Bar& bar : bars) {
    const std::string label = escaped_html(bar.label);
    out += fmt::format("<p class=\"label\">{}</p>\n<svg role=\"img\" aria-label=\"{}: {}\">\n",
                       label, label, escaped_html(bar.text));
    out += fmt::format("<rect class=\"bar\" x=\"0\" y=\"2\" width=\"{:.2f}%\" height=\"16\"/>\n",
                       bar.value * scale);
    if (bar.mark) {
      out +=
          fmt::format("<line class=\"mark\" x1=\"{0:.2f}%\" x2=\"{0:.2f}%\" y1=\"0\" y2=\"20\"/>\n",
                      *bar.mark * scale);
    }
    out += fmt::format("<text x=\"{:.2f}%\" dx=\"6\" y=\"15\">{}</text>\n</svg>\n",
                       std::max(bar.value, bar.mark.value_or(0)) * scale, escaped_html(bar.text));
  }
  return out + "</section>\n";
}

std::string point_plot(std::string_view title, std::string_view note, const PlotAxis& x,
                       const PlotAxis& y, const std::vector<PlotPoint>& points) {
  if (points.empty()) return "";
  const auto [left, right] = std::ranges::minmax(points, {}, &PlotPoint::x);
  const auto [low, high] = std::ranges::minmax(points, {}, &PlotPoint::y);
  std::string out = fmt::format("<svg class=\"points\" role=\"img\" aria-label=\"{}\">\n", title);
  const Scale across = logarithmic_axis(x, left.x, right.x, out);
  const Scale up = linear_axis(y, low.y, high.y, out);
  out += plot_text(kPlotRight, kPlotBottom + 36, "text-anchor=\"end\"", x.label);
  out += plot_text(0, kPlotTop - 10, "", y.label);
  for (const PlotPoint& point : points) {
    out += fmt::format("<circle cx=\"{:.2f}%\" cy=\"{:.1f}\" r=\"4\"><title>{}</title></circle>\n",
                       across.at(std::log10(point.x)), up.at(point.y), escaped_html(point.title));
  }
  return html_section(title, note, out + "</svg>\n");
}

std::string html_section(std::string_view title, std::string_view note, std::string_view body) {
  return fmt::format("<section>\n<h2>{}</h2>\n<p>{}</p>\n{}</section>\n", title, note, body);
}

std::string html_table(const std::vector<std::string>& titles,
                       const std::vector<std::vector<std::string>>& rows, TableKind kind) {
  std::string out =
      kind == TableKind::text ? "<table class=\"text\">\n" : "<div class=\"scroll\"><table>\n";
  if (!titles.empty()) {
    out += "<tr>";
    for (const std::string& title : titles) out += "<th>" + escaped_html(title) + "</th>";
    out += "</tr>\n";
  }
  for (const auto& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += "<td>" + escaped_html(cell) + "</td>";
    out += "</tr>\n";
  }
  return out + (kind == TableKind::text ? "</table>\n" : "</table></div>\n");
}

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</"
      "html>\n",
      title, kStyle, body);
}

}  // namespace mlc::cli
