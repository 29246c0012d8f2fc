#include "run/bench_report.h"

#include "cli/html_page.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"
#include "mlc/engine/machine.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mlc::cli {
namespace {

std::string row_label(const BenchRow& row) {
  return row.batch ? fmt::format("{}, batch {}", row.file, *row.batch) : row.file;
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
  std::vector<std::vector<std::string>> rows;
  for (const BenchRow& row : answer.rows) {
    const auto& samples = row.latencies.samples;
    rows.push_back({row.file + (row.channels_last ? ", channels last" : ""),
                    row.batch ? std::to_string(*row.batch) : "-", format_bytes(row.file_bytes),
                    duration_text(row.load), duration_text(row.latencies.first)});
    for (const double percent : {50.0, 90.0, 99.0}) {
      rows.back().push_back(duration_text(percentile(samples, percent)));
    }
    for (std::string cell :
         {rate_text(row.calls_per_second()),
          row.batch ? rate_text(row.items_per_second()) : std::string("-"), speed_text(answer, row),
          format_bytes(row.peak_rss), format_count(samples.size())}) {
      rows.back().push_back(std::move(cell));
    }
  }
  return html_table({"artefact", "batch", "size", "load", "first call", "p50", "p90", "p99",
                     "calls/s", "items/s", "speed", "peak RSS", "calls"},
                    rows);
}

}  // namespace

std::string bench_html(const BenchAnswer& answer) {
  const BenchRow& first = answer.rows.front();
  std::string out;
  out +=
      fmt::format("<p>{} on {}, {}{}, seed {}, {} after the first call; mlc {}.</p>\n",
                  escaped_html(engines(answer)), escaped_html(first.device),
                  plural(answer.threads, "thread"), answer.dtype.empty() ? "" : ", " + answer.dtype,
                  answer.seed, plural(answer.warmup, "warm-up call"), mlc_version());
  const CpuInfo cpu = this_cpu();
  out += fmt::format("<p>Machine: {}, {}; {}.</p>\n<p>Inputs:", escaped_html(cpu.model),
                     plural(cpu.processors, "processor"),
                     escaped_html(fmt::format("{}", fmt::join(cpu.features, " "))));
  for (const std::string& input : answer.inputs) out += " <code>" + escaped_html(input) + "</code>";
  if (const auto files = files_with_channels_last(answer); !files.empty()) {
    out += "</p>\n<p>Channels last in memory: " + escaped_html(join_list(files)) + ".";
  }
  for (const std::string& line : best_batch_lines(answer)) {
    out += "</p>\n<p>" + escaped_html(line) + ".";
  }
  out += "</p>\n" + number_table(answer) + latency_plot(answer) + throughput_plot(answer) +
         memory_plot(answer);
  return html_page("mlc bench", out);
}

}  // namespace mlc::cli
