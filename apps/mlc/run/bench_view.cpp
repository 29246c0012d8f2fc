#include "run/bench_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/base/bytes.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"
#include "mlc/engine/machine.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

void append_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<uint64_t>(text.size()));
  out += text;
}

void append_number(std::string& out, double value) {
  append_le(out, std::bit_cast<uint64_t>(value));
}

/// Reads what encode() wrote; a read beyond the end clears `ok`.
class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : reader_(as_bytes(bytes)) {}

  uint64_t integer() {
    const auto value = reader_.read<uint64_t>();
    ok = ok && value.has_value();
    return value.value_or(0);
  }
  double number() { return std::bit_cast<double>(integer()); }
  std::string text() {
    const auto bytes = reader_.take(integer());
    ok = ok && bytes.has_value();
    return bytes ? std::string(as_text(*bytes)) : std::string();
  }

  bool ok = true;

 private:
  ByteReader reader_;
};

double median(const BenchRow& row) {
  return percentile(row.latencies.samples, 50);
}

/// The row of each file that gets most items through, for files with several batch sizes.
std::vector<const BenchRow*> best_batches(const BenchAnswer& answer) {
  const bool several = std::ranges::any_of(
      answer.rows, [&](const BenchRow& row) { return row.batch != answer.rows[0].batch; });
  std::vector<const BenchRow*> out;
  if (!several) return out;
  for (const BenchRow& row : answer.rows) {
    const auto known = std::ranges::find(out, row.file, [](const BenchRow* r) { return r->file; });
    if (known == out.end()) {
      out.push_back(&row);
    } else if (row.items_per_second() > (*known)->items_per_second()) {
      *known = &row;
    }
  }
  return out;
}

bool has_several_engines(const BenchAnswer& answer) {
  return std::ranges::any_of(
      answer.rows, [&](const BenchRow& row) { return row.engine != answer.rows[0].engine; });
}

/// Whether rows differ in it: a line below the table tells of all.
bool some_channels_last(const BenchAnswer& answer) {
  return std::ranges::any_of(answer.rows, [&](const BenchRow& row) {
    return row.channels_last != answer.rows[0].channels_last;
  });
}

void add_row(Table& table, const BenchAnswer& answer, const BenchRow& row, bool batches,
             bool several) {
  table.cell(row.file);
  if (some_channels_last(answer)) table.cell(row.channels_last ? "last" : "-");
  // "ONNX Runtime" of "ONNX Runtime 1.31.1".
  if (has_several_engines(answer)) table.cell(row.engine.substr(0, row.engine.rfind(' ')));
  if (batches) table.cell(row.batch ? std::to_string(*row.batch) : "-");
  table.cell(format_bytes(row.file_bytes));
  table.cell(duration_text(row.load));
  table.cell(duration_text(row.latencies.first));
  for (const double percent : {50.0, 90.0, 99.0}) {
    table.cell(duration_text(percentile(row.latencies.samples, percent)));
  }
  table.cell(rate_text(row.items_per_second()));
  table.cell(format_bytes(row.peak_rss));
  if (several) table.cell(speed_text(answer, row));
}

void show_table(const BenchAnswer& answer, Context& context) {
  const bool batches =
      std::ranges::any_of(answer.rows, [](const BenchRow& row) { return row.batch.has_value(); });
  const bool several = std::ranges::any_of(
      answer.rows, [&](const BenchRow& row) { return row.file != answer.rows[0].file; });
  std::vector<Column> columns = {{"ARTEFACT", Align::left, true}};
  if (some_channels_last(answer)) columns.push_back({"CHANNELS"});
  if (has_several_engines(answer)) columns.push_back({"ENGINE"});
  if (batches) columns.push_back({"BATCH", Align::right});
  for (const char* title : {"SIZE", "LOAD", "FIRST", "P50", "P90", "P99"}) {
    columns.push_back({title, Align::right});
  }
  columns.push_back({batches ? "ITEMS/S" : "CALLS/S", Align::right});
  columns.push_back({"PEAK RSS", Align::right});
  if (several) columns.push_back({"SPEED", Align::right});
  Table table(std::move(columns));
  for (const BenchRow& row : answer.rows) add_row(table, answer, row, batches, several);
  table.render(context.out(), context.console.out_width());
}

/// "50 calls", or "6,847 to 11,087 calls" where time decided.
std::string calls(const BenchAnswer& answer) {
  const auto size = [](const BenchRow& row) { return row.latencies.samples.size(); };
  const auto [fewest, most] = std::ranges::minmax_element(answer.rows, {}, size);
  const std::string range =
      size(*fewest) == size(*most) ? "" : format_count(size(*fewest)) + " to ";
  return range + plural(size(*most), "call");
}

void show_text(const BenchAnswer& answer, Context& context) {
  const BenchRow& first = answer.rows.front();
  context.out().line(fmt::format("{} on {}, {}{}; {}, then {}", engines(answer), first.device,
                                 plural(answer.threads, "thread"),
                                 answer.dtype.empty() ? "" : ", " + answer.dtype,
                                 plural(answer.warmup, "warm-up call"), calls(answer)));
  for (const std::string& input : answer.inputs) {
    context.out().line("input " + printable(input));
  }
  context.out().line("");
  show_table(answer, context);
  if (const auto files = files_with_channels_last(answer); !files.empty()) {
    context.out().line("channels last in memory: " + join_list(files));
  }
  for (const std::string& line : best_batch_lines(answer)) context.out().line(line);
}

void latency_json(JsonWriter& json, const Latencies& latencies) {
  json.key("latency_ms");
  json.begin_object();
  const std::span<const double> samples(latencies.samples);
  json.field("min", samples.front() * 1e3);
  json.field("mean", mean(samples) * 1e3);
  json.field("p50", percentile(samples, 50) * 1e3);
  json.field("p90", percentile(samples, 90) * 1e3);
  json.field("p99", percentile(samples, 99) * 1e3);
  json.field("max", samples.back() * 1e3);
  json.end_object();
}

void row_json(JsonWriter& json, const BenchAnswer& answer, const BenchRow& row) {
  json.begin_object();
  json.field("file", row.file);
  json.field("engine", row.engine);
  json.field("device", row.device);
  json.field("channels_last", row.channels_last);
  if (row.batch) json.field("batch", *row.batch);
  json.field("file_bytes", row.file_bytes);
  json.field("open_ms", row.open * 1e3);
  json.field("load_ms", row.load * 1e3);
  json.field("first_ms", row.latencies.first * 1e3);
  json.field("runs", row.latencies.samples.size());
  latency_json(json, row.latencies);
  json.field("calls_per_s", row.calls_per_second());
  if (row.batch) json.field("items_per_s", row.items_per_second());
  json.field("peak_rss_bytes", row.peak_rss);
  if (const auto factor = speedup(answer, row)) json.field("speedup", *factor);
  json.end_object();
}

/// Numbers of two machines do not compare.
void machine_json(JsonWriter& json) {
  const CpuInfo cpu = this_cpu();
  json.key("machine");
  json.begin_object();
  json.field("processor", cpu.model);
  json.field("processors", cpu.processors);
  json.list("features", cpu.features);
  json.end_object();
}

void best_batches_json(JsonWriter& json, const BenchAnswer& answer) {
  const auto best = best_batches(answer);
  if (best.empty()) return;
  json.key("best_batches");
  json.begin_array();
  for (const BenchRow* row : best) {
    json.begin_object();
    json.field("file", row->file);
    json.field("batch", row->batch.value_or(1));
    json.field("items_per_s", row->items_per_second());
    json.end_object();
  }
  json.end_array();
}

void show_json(const BenchAnswer& answer, Context& context) {
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.bench/1");
  json.field("mlc", mlc_version());
  machine_json(json);
  json.field("threads", answer.threads);
  if (!answer.dtype.empty()) json.field("dtype", answer.dtype);
  json.field("seed", answer.seed);
  json.field("warmup", answer.warmup);
  json.list("inputs", answer.inputs);
  json.key("artefacts");
  json.begin_array();
  for (const BenchRow& row : answer.rows) row_json(json, answer, row);
  json.end_array();
  best_batches_json(json, answer);
  json.end_object();
}

}  // namespace

std::optional<double> speedup(const BenchAnswer& answer, const BenchRow& row) {
  const auto first = std::ranges::find(answer.rows, row.batch, &BenchRow::batch);
  if (first == answer.rows.end() || first->file == row.file) return std::nullopt;
  return median(*first) / median(row);
}

std::string speed_text(const BenchAnswer& answer, const BenchRow& row) {
  const auto factor = speedup(answer, row);
  return factor ? fmt::format("{:.2f}x", *factor) : "-";
}

std::vector<std::string> best_batch_lines(const BenchAnswer& answer) {
  std::vector<std::string> out;
  for (const BenchRow* row : best_batches(answer)) {
    out.push_back(fmt::format("best batch size of {}: {}, {} items/s", printable(row->file),
                              row->batch.value_or(1), rate_text(row->items_per_second())));
  }
  return out;
}

std::string duration_text(double seconds) {
  const double ms = seconds * 1e3;
  return ms >= 100 ? fmt::format("{:.0f} ms", ms)
         : ms >= 1 ? fmt::format("{:.2f} ms", ms)
                   : fmt::format("{:.1f} us", ms * 1e3);
}

std::string rate_text(double per_second) {
  return per_second >= 100 ? format_count(static_cast<uint64_t>(per_second + 0.5))
                           : fmt::format("{:.1f}", per_second);
}

double BenchRow::items_per_second() const {
  return calls_per_second() * static_cast<double>(batch.value_or(1));
}

std::string engines(const BenchAnswer& answer) {
  std::vector<std::string> out;
  for (const BenchRow& row : answer.rows) {
    if (std::ranges::find(out, row.engine) == out.end()) out.push_back(row.engine);
  }
  return join_list(out);
}

std::vector<std::string> files_with_channels_last(const BenchAnswer& answer) {
  std::vector<std::string> out;
  for (const BenchRow& row : answer.rows) {
    const std::string file = printable(row.file);
    if (row.channels_last && std::ranges::find(out, file) == out.end()) out.push_back(file);
  }
  return out;
}

std::string encode(const BenchRow& row) {
  std::string out;
  for (const std::string& text : {row.file, row.engine, row.device}) append_text(out, text);
  const uint64_t channels_last = row.channels_last ? 1 : 0;
  for (const uint64_t value :
       {channels_last, row.batch ? *row.batch + 1 : 0, row.file_bytes, row.peak_rss}) {
    append_le(out, value);
  }
  for (const double value : {row.open, row.load, row.latencies.first}) append_number(out, value);
  append_le(out, static_cast<uint64_t>(row.latencies.samples.size()));
  for (const double value : row.latencies.samples) append_number(out, value);
  return out;
}

Result<BenchRow> decode_row(std::string_view bytes) {
  RowReader reader(bytes);
  BenchRow row;
  for (std::string* text : {&row.file, &row.engine, &row.device}) *text = reader.text();
  row.channels_last = reader.integer() != 0;
  if (const uint64_t batch = reader.integer(); batch > 0) row.batch = batch - 1;
  row.file_bytes = reader.integer();
  row.peak_rss = reader.integer();
  for (double* value : {&row.open, &row.load, &row.latencies.first}) *value = reader.number();
  const uint64_t count = reader.integer();
  for (uint64_t i = 0; i < count && reader.ok; ++i)
    row.latencies.samples.push_back(reader.number());
  if (!reader.ok || row.latencies.samples.empty()) return internal_error("half a measurement");
  return row;
}

void show_bench(const BenchAnswer& answer, Context& context) {
  if (context.json()) {
    show_json(answer, context);
  } else {
    show_text(answer, context);
  }
}

}  // namespace mlc::cli
