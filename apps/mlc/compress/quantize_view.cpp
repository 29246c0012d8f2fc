#include "compress/quantize_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "files/open_input.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/stored_parts.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kWorstShown = 10;

void show_totals(const QuantizeAnswer& answer, FileTask& task) {
  const auto line = [&](std::string_view label, const std::string& text) {
    task.out.line(fmt::format("{:<11}{}", label, text));
  };
  const QuantTotals done = totals_of(answer, true);
  const QuantTotals kept = totals_of(answer, false);
  line("file", fmt::format("{} ({})", printable(task.input), format_bytes(answer.input_bytes)));
  line("schemes", done.tensors == 0 ? "none" : schemes_text(answer.plan));
  line("quantised", fmt::format("{}, {} to {}", plural(done.tensors, "tensor"),
                                format_bytes(done.before), format_bytes(done.after)));
  if (kept.tensors > 0) {
    line("kept", fmt::format("{}, {}: {}", plural(kept.tensors, "tensor"),
                             format_bytes(kept.before), kept_counts(answer.plan)));
  }
  if (done.tied > 0) line("tied", plural(done.tied, "more name") + " of quantised tensors");
  const std::string fallbacks = fallback_text(answer.plan);
  line("fallbacks", fallbacks.empty() ? "none" : fallbacks);
  const ErrorSums sums = all_sums(answer.plan);
  if (done.tensors > 0) {
    line("SQNR", db_text(sqnr_db(sums.signal, sums.noise)) + " dB of all quantised weights");
  }
  if (answer.by_data) line("by data", by_data_text(*answer.by_data));
  line("size", fmt::format("{:.2f} bits a weight", bits_per_weight(answer)));
}

std::vector<WeightRow> worst_rows(const QuantizeAnswer& answer) {
  std::vector<WeightRow> rows;
  for (const WeightPlan* weight : worst_first(answer.plan)) {
    const Dims sizes = answer.checkpoint.sizes(answer.checkpoint.tensors[weight->tensor]);
    rows.push_back({weight->names[0],
                    scheme_text(*weight),
                    {sizes.begin(), sizes.end()},
                    bytes_after(answer.checkpoint, *weight),
                    weight->sqnr(),
                    weight->sums->largest});
  }
  return rows;
}

void quantized_json(const QuantizeAnswer& answer, JsonWriter& json) {
  json.key("quantized");
  json.begin_array();
  for (const WeightPlan* weight : worst_first(answer.plan)) {
    json.begin_object();
    json.field("name", weight->names[0]);
    json.list("tied", std::vector(weight->names.begin() + 1, weight->names.end()));
    json.field("scheme", weight->scheme.text());
    const Tensor& tensor = answer.checkpoint.tensors[weight->tensor];
    json.field("dtype", info(tensor.dtype).torch);
    json.list("shape", answer.checkpoint.sizes(tensor));
    json.field("bytes_before", bytes_before(answer.checkpoint, *weight));
    json.field("bytes_after", bytes_after(answer.checkpoint, *weight));
    json.field("sqnr_db", weight->sqnr());
    json.field("max_error", weight->sums->largest);
    if (weight->input_power > 0) json.field("input_power", weight->input_power);
    json.end_object();
  }
  json.end_array();
}

void kept_json(const QuantizeAnswer& answer, JsonWriter& json) {
  json.key("kept");
  json.begin_array();
  for (const WeightPlan& weight : answer.plan.weights) {
    if (weight.is_quantized()) continue;
    json.begin_object();
    json.field("name", weight.names[0]);
    json.field("reason", kept_word(weight.kept));
    json.field("bytes", bytes_before(answer.checkpoint, weight));
    json.end_object();
  }
  json.end_array();
  json.key("fallbacks");
  json.begin_array();
  for (const WeightPlan& weight : answer.plan.weights) {
    if (!weight.is_fallback()) continue;
    json.begin_object();
    json.field("name", weight.names[0]);
    json.field("asked", weight.asked.text());
    json.field("scheme", weight.scheme.text());
    json.field("nans", weight.nans);
    json.field("infinities", weight.infinities);
    json.end_object();
  }
  json.end_array();
}

void show_json(const QuantizeAnswer& answer, FileTask& task) {
  const QuantTotals done = totals_of(answer, true);
  const QuantTotals kept = totals_of(answer, false);
  const ErrorSums sums = all_sums(answer.plan);
  const std::vector<const WeightPlan*> worst = worst_first(answer.plan);
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.quantize/1");
  json.field("input", task.input);
  json.field("output", task.output);
  json.field("dry_run", answer.dry_run);
  json.field("format", answer.format);
  json.field("layout", to_string(answer.plan.format));
  json.field("rounding", to_string(answer.plan.rounding));
  json.field("input_bytes", answer.input_bytes);
  json.field("file_bytes", answer.saved.file_size);
  json.field("deflated", answer.saved.deflated);
  json.field("bytes_before", done.before + kept.before);
  json.field("bytes_after", done.after + kept.after);
  json.field("bits_per_weight", bits_per_weight(answer));
  json.field("sqnr_db", sqnr_db(sums.signal, sums.noise));
  json.field("worst_sqnr_db", worst.empty() ? INFINITY : worst.front()->sqnr());
  if (answer.by_data) by_data_json(*answer.by_data, json);
  quantized_json(answer, json);
  kept_json(answer, json);
  json.end_object();
}

}  // namespace

std::vector<const WeightPlan*> worst_first(const QuantizePlan& plan) {
  std::vector<const WeightPlan*> out;
  for (const WeightPlan& weight : plan.weights) {
    if (weight.is_quantized() && weight.sums) out.push_back(&weight);
  }
  std::ranges::stable_sort(out, {}, [](const WeightPlan* weight) { return weight->sqnr(); });
  return out;
}

void show_worst(const std::vector<WeightRow>& rows, FileTask& task) {
  if (rows.empty()) return;
  task.out.line("");
  Table table({{"WORST FIRST", Align::left, true},
               {"SCHEME"},
               {"SHAPE"},
               {"BYTES", Align::right},
               {"SQNR DB", Align::right},
               {"MAX ERROR", Align::right}});
  for (size_t i = 0; i < std::min(rows.size(), kWorstShown); ++i) {
    const WeightRow& row = rows[i];
    table.add({row.name, row.scheme, format_shape(row.sizes), std::to_string(row.bytes),
               db_text(row.sqnr), fmt::format("{:.3g}", row.max_error)});
  }
  table.render(task.out, task.width);
  if (rows.size() > kWorstShown) {
    task.out.line("and " + format_count(rows.size() - kWorstShown) + " more");
  }
}

std::string db_text(double db) {
  return std::isinf(db) ? "exact" : fmt::format("{:.1f}", db);
}

std::string scheme_text(const WeightPlan& weight) {
  if (weight.input_power == 0) return weight.scheme.text();
  return fmt::format("{} awq {:g}", weight.scheme.text(), weight.input_power);
}

std::string schemes_text(const QuantizePlan& plan) {
  std::map<std::pair<SchemeKind, std::string>, uint64_t> counts;
  for (const WeightPlan& weight : plan.weights) {
    if (weight.is_quantized()) ++counts[{weight.scheme.kind, weight.scheme.text()}];
  }
  std::vector<std::string> parts;
  for (const auto& [scheme, count] : counts) {
    parts.push_back(scheme.second + " " + format_count(count));
  }
  return join_list(parts);
}

std::string kept_counts(const QuantizePlan& plan) {
  std::map<Kept, uint64_t> counts;
  for (const WeightPlan& weight : plan.weights) {
    if (!weight.is_quantized()) ++counts[weight.kept];
  }
  std::vector<std::string> parts;
  for (const auto& [kept, count] : counts) {
    parts.push_back(format_count(count) + " " + std::string(kept_text(kept)));
  }
  return join_list(parts);
}

ErrorSums all_sums(const QuantizePlan& plan) {
  ErrorSums sums;
  for (const WeightPlan& weight : plan.weights) {
    if (weight.is_quantized() && weight.sums) sums.add(*weight.sums);
  }
  return sums;
}

std::string by_data_text(const DataRounding& by_data) {
  const RoundingGain& gain = by_data.gain;
  const std::string scaled =
      gain.scaled ? fmt::format(", {} with scales of inputs", format_count(*gain.scaled)) : "";
  return fmt::format("{} by {}{}: outputs of their layers {} dB, {} with the nearest codes",
                     plural(gain.weights, "weight"), plural(by_data.samples, "sample"), scaled,
                     db_text(sqnr_db(gain.signal, gain.noise)),
                     db_text(sqnr_db(gain.signal, gain.noise_nearest)));
}

void by_data_json(const DataRounding& by_data, JsonWriter& json) {
  const RoundingGain& gain = by_data.gain;
  json.key("by_data");
  json.begin_object();
  json.field("weights", gain.weights);
  json.field("samples", by_data.samples);
  if (gain.scaled) json.field("scaled", *gain.scaled);
  json.field("output_sqnr_db", sqnr_db(gain.signal, gain.noise));
  json.field("output_sqnr_db_nearest", sqnr_db(gain.signal, gain.noise_nearest));
  json.end_object();
}

QuantTotals totals_of(const QuantizeAnswer& answer, bool quantized) {
  QuantTotals out;
  for (const WeightPlan& weight : answer.plan.weights) {
    if (weight.is_quantized() != quantized) continue;
    const Tensor& tensor = answer.checkpoint.tensors[weight.tensor];
    ++out.tensors;
    out.tied += weight.names.size() - 1;
    out.parameters += stored_elements(answer.checkpoint, tensor);
    out.before += bytes_before(answer.checkpoint, weight);
    out.after += bytes_after(answer.checkpoint, weight);
  }
  return out;
}

double bits_per_weight(const QuantizeAnswer& answer) {
  const QuantTotals done = totals_of(answer, true);
  const QuantTotals kept = totals_of(answer, false);
  const uint64_t parameters = done.parameters + kept.parameters;
  if (parameters == 0) return 0;
  return 8 * static_cast<double>(done.after + kept.after) / static_cast<double>(parameters);
}

std::string fallback_text(const QuantizePlan& plan) {
  std::map<Kept, std::vector<std::string>> names;
  std::vector<std::string> raised;
  for (const WeightPlan& weight : plan.weights) {
    if (!weight.is_fallback()) continue;
    const std::string name = printable(weight.names[0]);
    if (weight.is_quantized()) {
      raised.push_back(name + " (" + weight.scheme.text() + ")");
    } else {
      names[weight.kept].push_back(name);
    }
  }
  std::vector<std::string> parts;
  if (!raised.empty()) {
    parts.push_back(format_count(raised.size()) + " with more bits: " + join_list(raised, 3));
  }
  for (const auto& [kept, tensors] : names) {
    parts.push_back(format_count(tensors.size()) + " kept, " + std::string(kept_text(kept)) + ": " +
                    join_list(tensors, 3));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

void show_quantized(const QuantizeAnswer& answer, FileTask& task) {
  if (task.json) return show_json(answer, task);
  if (!task.alone) return;
  show_totals(answer, task);
  show_worst(worst_rows(answer), task);
}

std::string quantized_summary(const QuantizeAnswer& answer, const FileTask& task) {
  const QuantTotals done = totals_of(answer, true);
  const uint64_t count = answer.plan.weights.size();
  const std::string what =
      fmt::format("{} of {} quantised, {:.2f} bits a weight", format_count(done.tensors),
                  plural(count, "tensor"), bits_per_weight(answer));
  if (answer.dry_run) {
    return fmt::format("dry run: would write {}, {} of tensor data; nothing was written", what,
                       format_bytes(answer.saved.bytes));
  }
  return fmt::format("wrote {}: {}, {}, read back and compared{}", output_text(task.output), what,
                     format_bytes(answer.saved.file_size), tied_text(answer.saved));
}

}  // namespace mlc::cli
