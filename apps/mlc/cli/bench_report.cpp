#include "cli/bench_report.h"

#include "mlc/base/text.h"
#include "mlc/base/version.h"

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
section { break-inside: avoid; } h2, h2 + p { break-after: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
@media (min-width: 72rem) { td:first-child { min-width: 18rem; } }
.label { margin: .6rem 0 .1rem; font-size: .85rem; line-height: 1.3; overflow-wrap: anywhere; break-after: avoid; }
svg { display: block; width: 100%; height: 20px; } svg text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
.bar { fill: #2f6fb3; } .mark { stroke: #b3541e; stroke-width: 2; }
code { background: #f3f5f7; padding: .1rem .3rem; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } table { font-size: .7rem; } th:first-child, td:first-child { position: static; } }
)";

/// TEXT harmless on a terminal and within HTML.
std::string escaped(std::string_view text) {
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

std::string row_label(const BenchRow& row) {
  return row.batch ? fmt::format("{}, batch {}", row.file, *row.batch) : row.file;
}

/// A bar of a plot; MARK is a second, larger value that gets a tick.
struct Bar {
  std::string label;
  double value = 0;
  std::optional<double> mark;
  std::string text;
};

/// A section with a bar for each row.
std::string bar_plot(std::string_view title, std::string_view note, const std::vector<Bar>& bars) {
  double most = 0;
  for (const Bar& bar : bars) most = std::max({most, bar.value, bar.mark.value_or(0)});
  const double scale = most > 0 ? kLongestBar / most : 0;
  std::string out = fmt::format("<section>\n<h2>{}</h2>\n<p>{}</p>\n", title, note);
  for (const Bar& bar : bars) {
    const std::string label = escaped(bar.label);
    out += fmt::format("<p class=\"label\">{}</p>\n<svg role=\"img\" aria-label=\"{}: {}\">\n",
                       label, label, escaped(bar.text));
    out += fmt::format("<rect class=\"bar\" x=\"0\" y=\"2\" width=\"{:.2f}%\" height=\"16\"/>\n",
                       bar.value * scale);
    if (bar.mark) {
      out +=
          fmt::format("<line class=\"mark\" x1=\"{0:.2f}%\" x2=\"{0:.2f}%\" y1=\"0\" y2=\"20\"/>\n",
                      *bar.mark * scale);
    }
    out += fmt::format("<text x=\"{:.2f}%\" dx=\"6\" y=\"15\">{}</text>\n</svg>\n",
                       std::max(bar.value, bar.mark.value_or(0)) * scale, escaped(bar.text));
  }
  return out + "</section>\n";
}

std::string latency_plot(const BenchAnswer& answer) {
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    const double half = percentile(row.latencies.samples, 50);
    const double most = percentile(row.latencies.samples, 90);
    bars.push_back(
        {row_label(row), half, most, duration_text(half) + " (p90 " + duration_text(most) + ")"});
  }
  return bar_plot("Latency",
                  "Median of a call; the mark is the 90th percentile. Shorter is better.", bars);
}

std::string throughput_plot(const BenchAnswer& answer) {
  const bool items =
      std::ranges::any_of(answer.rows, [](const BenchRow& row) { return row.batch.has_value(); });
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    const double rate = row.items_per_second();
    bars.push_back(
        {row_label(row), rate, std::nullopt, rate_text(rate) + (items ? " items/s" : " calls/s")});
  }
  return bar_plot(
      "Throughput",
      std::string(items ? "Items" : "Calls") + " per second by the mean. Longer is better.", bars);
}

std::string memory_plot(const BenchAnswer& answer) {
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    bars.push_back({row_label(row), static_cast<double>(row.peak_rss), std::nullopt,
                    format_bytes(row.peak_rss)});
  }
  return bar_plot("Memory", "Largest resident size of the process, its engine included.", bars);
}

std::string number_table(const BenchAnswer& answer) {
  std::string out = "<div class=\"scroll\"><table>\n<tr>";
  for (const char* title : {"artefact", "batch", "size", "load", "first call", "p50", "p90", "p99",
                            "calls/s", "items/s", "peak RSS", "calls"}) {
    out += fmt::format("<th>{}</th>", title);
  }
  out += "</tr>\n";
  for (const BenchRow& row : answer.rows) {
    const auto& samples = row.latencies.samples;
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                       escaped(row.file), row.batch ? std::to_string(*row.batch) : "-",
                       format_bytes(row.file_bytes), duration_text(row.load),
                       duration_text(row.latencies.first));
    for (const double percent : {50.0, 90.0, 99.0}) {
      out += fmt::format("<td>{}</td>", duration_text(percentile(samples, percent)));
    }
    out += fmt::format("<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                       rate_text(row.calls_per_second()),
                       row.batch ? rate_text(row.items_per_second()) : "-",
                       format_bytes(row.peak_rss), format_count(samples.size()));
  }
  return out + "</table></div>\n";
}

}  // namespace

std::string bench_html(const BenchAnswer& answer) {
  const BenchRow& first = answer.rows.front();
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>mlc bench</title>\n<style>" +
      std::string(kStyle) + "</style>\n</head>\n<body>\n<h1>mlc bench</h1>\n";
  out +=
      fmt::format("<p>{} on {}, {}{}, seed {}, {} after the first call; mlc {}.</p>\n<p>Inputs:",
                  escaped(engines(answer)), escaped(first.device), plural(answer.threads, "thread"),
                  answer.dtype.empty() ? "" : ", " + answer.dtype, answer.seed,
                  plural(answer.warmup, "warm-up call"), mlc_version());
  for (const std::string& input : answer.inputs) out += " <code>" + escaped(input) + "</code>";
  if (const auto files = files_with_channels_last(answer); !files.empty()) {
    out += "</p>\n<p>Channels last in memory: " + escaped(join_list(files)) + ".";
  }
  out += "</p>\n" + number_table(answer) + latency_plot(answer) + throughput_plot(answer) +
         memory_plot(answer);
  return out + "</body>\n</html>\n";
}

}  // namespace mlc::cli
