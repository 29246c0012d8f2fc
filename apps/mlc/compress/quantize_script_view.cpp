#include "compress/quantize_script_view.h"

#include "cli/json_writer.h"
#include "compress/quantize_view.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kKeptShown = 5;

std::vector<WeightRow> worst_rows(const ScriptQuantReport& report) {
  std::vector<WeightRow> rows;
  for (const ScriptLayer* layer : worst_first(report)) {
    rows.push_back({layer->weight, layer->scheme, layer->sizes, layer->bytes_after,
                    sqnr_db(layer->signal, layer->noise), layer->max_error});
  }
  return rows;
}

void show_text(const QuantizeScriptAnswer& answer, FileTask& task) {
  const auto line = [&](std::string_view label, const std::string& text) {
    task.out.line(fmt::format("{:<11}{}", label, text));
  };
  const ScriptQuantTotals totals = totals_of(answer.report);
  line("model", fmt::format("{} ({})", printable(task.input), format_bytes(answer.input_bytes)));
  line("form", answer.form + (answer.reduced ? ", activations of 7 bits" : "") + ", " +
                   answer.report.backend);
  const bool any = totals.before > 0;
  line("quantised", any ? fmt::format("{}, {} to {}", operators_text(answer.report),
                                      format_bytes(totals.before), format_bytes(totals.after))
                        : "nothing");
  line("size",
       fmt::format(
           "{} to {}, {:.2f}x", format_bytes(answer.input_bytes), format_bytes(answer.file_bytes),
           static_cast<double>(answer.input_bytes) / static_cast<double>(answer.file_bytes)) +
           (any ? fmt::format(", {:.2f} bits a quantised weight", totals.bits()) : ""));
  if (any)
    line("SQNR", db_text(sqnr_db(totals.signal, totals.noise)) + " dB of all quantised weights");
  if (answer.drop) line("drop", drop_result_text(*answer.drop));
  if (answer.drop && answer.drop->right) line("right", right_text(*answer.drop));
  const auto& kept = answer.report.kept;
  for (size_t i = 0; i < std::min(kept.size(), kKeptShown); ++i) {
    line(i == 0 ? "kept" : "", printable(kept[i].weight) + " (" + printable(kept[i].reason) + ")");
  }
  if (kept.size() > kKeptShown) line("", "and " + format_count(kept.size() - kKeptShown) + " more");
  if (!answer.not_verified.empty()) {
    line("verified", "no: " + answer.not_verified);
  } else {
    line("latency", latency_text(answer));
    line("verified", samples_text(answer) + " beside the float model");
    show_outputs(answer, task);
  }
  if (answer.drop) show_drop(*answer.drop, task);
  show_worst(worst_rows(answer.report), task);
}

void layers_json(const ScriptQuantReport& report, JsonWriter& json) {
  json.key("quantized");
  json.begin_array();
  for (const ScriptLayer* layer : worst_first(report)) {
    json.begin_object();
    json.field("name", layer->weight);
    json.field("operator", layer->op);
    json.field("scheme", layer->scheme);
    json.list("shape", layer->sizes);
    json.field("bytes_before", layer->bytes_before);
    json.field("bytes_after", layer->bytes_after);
    json.field("sqnr_db", sqnr_db(layer->signal, layer->noise));
    json.field("max_error", layer->max_error);
    json.end_object();
  }
  json.end_array();
  json.key("kept");
  json.begin_array();
  for (const ScriptKept& kept : report.kept) {
    json.begin_object();
    json.field("name", kept.weight);
    json.field("reason", kept.reason);
    json.field("bytes", kept.bytes);
    json.end_object();
  }
  json.end_array();
}

void show_json(const QuantizeScriptAnswer& answer, FileTask& task) {
  const ScriptQuantTotals totals = totals_of(answer.report);
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.quantize-torchscript/1");
  json.field("input", task.input);
  json.field("output", task.output);
  json.field("dry_run", answer.dry_run);
  json.field("form", answer.form);
  json.field("reduced_range", answer.reduced);
  json.field("backend", answer.report.backend);
  json.field("input_bytes", answer.input_bytes);
  json.field("file_bytes", answer.file_bytes);
  json.field("bits_per_weight", totals.bits());
  json.field("sqnr_db", sqnr_db(totals.signal, totals.noise));
  judgement_json(answer, json);
  if (answer.drop) drop_json(*answer.drop, json);
  layers_json(answer.report, json);
  json.end_object();
}

}  // namespace

double ScriptQuantTotals::bits() const {
  return weights == 0 ? 0 : 8 * static_cast<double>(after) / static_cast<double>(weights);
}

ScriptQuantTotals totals_of(const ScriptQuantReport& report) {
  ScriptQuantTotals out;
  for (const ScriptLayer& layer : report.layers) {
    out.weights += layer.bytes_before / sizeof(float);
    out.before += layer.bytes_before;
    out.after += layer.bytes_after;
    out.signal += layer.signal;
    out.noise += layer.noise;
  }
  return out;
}

std::vector<const ScriptLayer*> worst_first(const ScriptQuantReport& report) {
  std::vector<const ScriptLayer*> out;
  for (const ScriptLayer& layer : report.layers) out.push_back(&layer);
  std::ranges::stable_sort(
      out, {}, [](const ScriptLayer* layer) { return sqnr_db(layer->signal, layer->noise); });
  return out;
}

std::string operators_text(const ScriptQuantReport& report) {
  std::map<std::string, uint64_t> counts;
  for (const ScriptLayer& layer : report.layers) ++counts[layer.op];
  std::vector<std::string> parts;
  for (const auto& [op, count] : counts) parts.push_back(format_count(count) + " " + op);
  return join_list(parts);
}

void show_quantized_script(const QuantizeScriptAnswer& answer, FileTask& task) {
  if (task.json) return show_json(answer, task);
  if (task.alone || answer.dry_run) show_text(answer, task);
}

std::string quantized_script_summary(const QuantizeScriptAnswer& answer, const FileTask& task) {
  return fmt::format("{} {}: {} quantised, {}", answer.dry_run ? "would write" : "wrote",
                     task.output.empty() ? "it" : output_text(task.output),
                     plural(answer.report.layers.size(), "weight"),
                     format_bytes(answer.file_bytes));
}

}  // namespace mlc::cli
