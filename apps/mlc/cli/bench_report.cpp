#include "cli/bench_report.h"

#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

// Units of the SVG view box; the page scales it to its width.
constexpr double kWidth = 640;
constexpr double kRowHeight = 44;
constexpr double kBarHeight = 16;
constexpr double kValueRoom = 150;  // for the number behind a bar

constexpr std::string_view kStyle = R"(
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: #1b1f24; }
.bar { fill: #2f6fb3; } .mark { stroke: #b3541e; stroke-width: 2; }
code { background: #f3f5f7; padding: .1rem .3rem; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } table { font-size: .7rem; } }
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

std::string bar_plot(const std::vector<Bar>& bars, std::string_view title) {
  double most = 0;
  for (const Bar& bar : bars) most = std::max({most, bar.value, bar.mark.value_or(0)});
  const double scale = most > 0 ? (kWidth - kValueRoom) / most : 0;
  std::string out =
      fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                  kRowHeight * static_cast<double>(bars.size()), escaped(title));
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double top = kRowHeight * static_cast<double>(i);
    out += fmt::format("<text x=\"0\" y=\"{:.1f}\">{}</text>\n", top + 14, escaped(bar.label));
    out +=
        fmt::format("<rect class=\"bar\" x=\"0\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\"/>\n",
                    top + 20, bar.value * scale, kBarHeight);
    if (bar.mark) {
      out += fmt::format(
          "<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>\n",
          *bar.mark * scale, top + 18, top + 22 + kBarHeight);
    }
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                       std::max(bar.value, bar.mark.value_or(0)) * scale + 6, top + 33,
                       escaped(bar.text));
  }
  return out + "</svg>\n";
}

std::string latency_plot(const BenchAnswer& answer) {
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    const double half = percentile(row.latencies.samples, 50);
    bars.push_back(
        {row_label(row), half, percentile(row.latencies.samples, 90), duration_text(half)});
  }
  return "<h2>Latency</h2>\n<p>Median of a call; the mark is the 90th percentile. Shorter is "
         "better.</p>\n" +
         bar_plot(bars, "median latency");
}

std::string throughput_plot(const BenchAnswer& answer) {
  const bool items =
      std::ranges::any_of(answer.rows, [](const BenchRow& row) { return row.batch.has_value(); });
  const std::string unit = items ? "items" : "calls";
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    const double rate = row.items_per_second();
    bars.push_back({row_label(row), rate, std::nullopt, rate_text(rate) + " " + unit + "/s"});
  }
  return "<h2>Throughput</h2>\n<p>" + unit + " per second by the mean. Longer is better.</p>\n" +
         bar_plot(bars, "throughput");
}

std::string memory_plot(const BenchAnswer& answer) {
  std::vector<Bar> bars;
  for (const BenchRow& row : answer.rows) {
    bars.push_back({row_label(row), static_cast<double>(row.peak_rss), std::nullopt,
                    format_bytes(row.peak_rss)});
  }
  return "<h2>Memory</h2>\n<p>Largest resident size of the process, its engine included.</p>\n" +
         bar_plot(bars, "peak memory");
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
  out += fmt::format("<p>{} on {}, {}{}, seed {}, {} after the first call; mlc {}.</p>\n<p>Inputs:",
                     escaped(first.engine), escaped(first.device), plural(answer.threads, "thread"),
                     answer.dtype.empty() ? "" : ", " + answer.dtype, answer.seed,
                     plural(answer.warmup, "warm-up call"), mlc_version());
  for (const std::string& input : answer.inputs) out += " <code>" + escaped(input) + "</code>";
  out += "</p>\n" + number_table(answer) + latency_plot(answer) + throughput_plot(answer) +
         memory_plot(answer);
  return out + "</body>\n</html>\n";
}

}  // namespace mlc::cli
