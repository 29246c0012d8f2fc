#include "cli/html_page.h"

#include "mlc/base/text.h"

#include <algorithm>

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
.bar { fill: #2f6fb3; } .mark { stroke: #b3541e; stroke-width: 2; }
code { background: #f3f5f7; padding: .1rem .3rem; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } table { font-size: .7rem; } th:first-child, td:first-child { position: static; } }
)";

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
