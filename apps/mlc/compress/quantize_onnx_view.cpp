#include "compress/quantize_onnx_view.h"

#include "cli/json_writer.h"
#include "compress/quantize_view.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

using onnx::KeptWeight;
using onnx::QuantizedLayer;

constexpr size_t kKeptShown = 5;

std::vector<WeightRow> worst_rows(const onnx::QuantReport& report) {
  std::vector<WeightRow> rows;
  for (const QuantizedLayer* layer : worst_first(report)) {
    rows.push_back({layer->weight, layer->scheme, layer->sizes, layer->bytes_after, layer->sqnr(),
                    layer->facts.sums.largest});
  }
  return rows;
}

void show_text(const QuantizeOnnxAnswer& answer, FileTask& task) {
  const auto line = [&](std::string_view label, const std::string& text) {
    task.out.line(fmt::format("{:<11}{}", label, text));
  };
  const OnnxQuantTotals totals = totals_of(answer.report);
  const uint64_t after = answer.file_bytes + answer.sidecar_bytes;
  line("model", fmt::format("{} ({})", printable(task.input), format_bytes(answer.input_bytes)));
  line("form", answer.form_text());
  const bool any = !answer.report.layers.empty();
  line("quantised", any ? fmt::format("{}, {} to {}", schemes_text(answer.report),
                                      format_bytes(totals.before), format_bytes(totals.after))
                        : "nothing");
  line("size",
       fmt::format("{} to {}, {:.2f}x", format_bytes(answer.input_bytes), format_bytes(after),
                   static_cast<double>(answer.input_bytes) / static_cast<double>(after)) +
           (any ? fmt::format(", {:.2f} bits a quantised weight", totals.bits()) : ""));
  if (any) {
    line("SQNR",
         db_text(sqnr_db(totals.sums.signal, totals.sums.noise)) + " dB of all quantised weights");
  }
  if (answer.rounding) line("rounding", std::string(to_string(*answer.rounding)));
  if (answer.by_data) line("by data", by_data_text(*answer.by_data));
  if (!answer.report.kept.empty()) {
    const auto texts = kept_texts(answer.report);
    for (size_t i = 0; i < std::min(texts.size(), kKeptShown); ++i)
      line(i == 0 ? "kept" : "", texts[i]);
    if (texts.size() > kKeptShown)
      line("", fmt::format("and for {} more reasons", texts.size() - kKeptShown));
  }
  if (const std::string text = saturation_text(answer); !text.empty()) line("saturation", text);
  if (const std::string text = factors_text(answer); !text.empty()) line("factors", text);
  if (answer.drop) line("drop", drop_result_text(*answer.drop));
  if (answer.drop && answer.drop->right) line("right", right_text(*answer.drop));
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

void layers_json(const QuantizeOnnxAnswer& answer, JsonWriter& json) {
  json.key("quantized");
  json.begin_array();
  for (const QuantizedLayer* layer : worst_first(answer.report)) {
    json.begin_object();
    json.field("name", layer->weight);
    json.list("nodes", layer->nodes);
    json.field("scheme", layer->scheme);
    json.list("shape", layer->sizes);
    json.field("bytes_before", layer->bytes_before);
    json.field("bytes_after", layer->bytes_after);
    json.field("sqnr_db", layer->sqnr());
    json.field("max_error", layer->facts.sums.largest);
    json.field("pairs", layer->facts.pairs);
    json.field("saturating", layer->facts.saturating);
    json.end_object();
  }
  json.end_array();
  json.key("kept");
  json.begin_array();
  for (const KeptWeight& kept : answer.report.kept) {
    json.begin_object();
    json.field("name", kept.weight);
    json.field("node", kept.node);
    json.field("reason", kept.reason);
    json.field("bytes", kept.bytes);
    json.end_object();
  }
  json.end_array();
}

void show_json(const QuantizeOnnxAnswer& answer, FileTask& task) {
  const OnnxQuantTotals totals = totals_of(answer.report);
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.quantize-onnx/1");
  json.field("input", task.input);
  json.field("output", task.output);
  json.field("dry_run", answer.dry_run);
  json.field("form", onnx::to_string(answer.form));
  json.field("int8_target", onnx::row_of(answer.target).name);
  if (answer.rounding) json.field("rounding", to_string(*answer.rounding));
  json.field("reduced_range", answer.reduced);
  json.field("input_bytes", answer.input_bytes);
  json.field("file_bytes", answer.file_bytes);
  json.field("sidecar_bytes", answer.sidecar_bytes);
  json.field("bits_per_weight", totals.bits());
  json.field("sqnr_db", sqnr_db(totals.sums.signal, totals.sums.noise));
  judgement_json(answer, json);
  if (answer.by_data) by_data_json(*answer.by_data, json);
  if (!answer.factors.empty()) {
    json.key("factors");
    json.begin_object();
    json.field("method", answer.factors);
    json.field("folded", static_cast<uint64_t>(answer.scaling.folded));
    json.field("multiplied", static_cast<uint64_t>(answer.scaling.multiplied));
    json.end_object();
  }
  if (answer.drop) drop_json(*answer.drop, json);
  layers_json(answer, json);
  json.end_object();
}

}  // namespace

double OnnxQuantTotals::bits() const {
  return weights == 0 ? 0 : 8 * static_cast<double>(after) / static_cast<double>(weights);
}

std::vector<const QuantizedLayer*> worst_first(const onnx::QuantReport& report) {
  std::vector<const QuantizedLayer*> out;
  for (const QuantizedLayer& layer : report.layers) out.push_back(&layer);
  std::ranges::stable_sort(out, {}, [](const QuantizedLayer* layer) { return layer->sqnr(); });
  return out;
}

OnnxQuantTotals totals_of(const onnx::QuantReport& report) {
  OnnxQuantTotals out;
  for (const QuantizedLayer& layer : report.layers) {
    out.weights += static_cast<uint64_t>(layer.facts.rows * layer.facts.columns);
    out.before += layer.bytes_before;
    out.after += layer.bytes_after;
    out.sums.add(layer.facts.sums);
    // Tables alone are not multiplied, and blocks of four bits are no bytes.
    if (layer.scheme != "int8" && layer.scheme != "int8 table, tied") continue;
    out.pairs += layer.facts.pairs;
    out.saturating += layer.facts.saturating;
  }
  return out;
}

std::string schemes_text(const onnx::QuantReport& report) {
  std::map<std::string, uint64_t> counts;
  for (const QuantizedLayer& layer : report.layers) ++counts[layer.scheme];
  std::vector<std::string> parts;
  for (const auto& [scheme, count] : counts) parts.push_back(format_count(count) + " " + scheme);
  return join_list(parts);
}

std::vector<std::string> kept_texts(const onnx::QuantReport& report) {
  std::vector<std::pair<std::string, std::vector<const KeptWeight*>>> reasons;
  for (const KeptWeight& kept : report.kept) {
    const auto same =
        std::ranges::find(reasons, kept.reason, [](const auto& row) { return row.first; });
    auto& list = same == reasons.end() ? reasons.emplace_back(kept.reason, 0).second : same->second;
    list.push_back(&kept);
  }
  std::vector<std::string> out;
  for (const auto& [reason, list] : reasons) {
    std::string text = fmt::format("{} ({})", printable(list.front()->weight), reason);
    if (list.size() > 1) text += fmt::format(" and {} more", list.size() - 1);
    out.push_back(std::move(text));
  }
  return out;
}

std::string saturation_text(const QuantizeOnnxAnswer& answer) {
  const OnnxQuantTotals totals = totals_of(answer.report);
  if (!answer.multiplies_bytes || totals.pairs == 0) return "";
  std::string out = fmt::format("{} of {} pairs of weights", format_count(totals.saturating),
                                format_count(totals.pairs));
  if (totals.saturating == 0) return out + ": the same on every CPU";
  return out + " may exceed 16 bits on CPUs without VNNI" +
         (answer.reduced ? "" : "; --reduce-range avoids that");
}

std::string QuantizeOnnxAnswer::form_text() const {
  std::string out(onnx::to_string(form));
  if (reduced) out += ", 7 bits";
  if (target != onnx::Int8Target::onnxruntime)
    out += fmt::format(", for {}", onnx::row_of(target).name);
  return out;
}

std::string saturation_warning(const QuantizeOnnxAnswer& answer, const CpuInfo& cpu) {
  const OnnxQuantTotals totals = totals_of(answer.report);
  if (!answer.multiplies_bytes || totals.saturating == 0) return "";
  const bool here = answer.target == onnx::Int8Target::onnxruntime;
  if (!here || !adds_products_in_16_bits(cpu)) return "";
  return fmt::format(
      "{}{} of {} pairs of weights may exceed: outputs can be worse here than elsewhere{}",
      kCutSums, format_count(totals.saturating), format_count(totals.pairs),
      answer.reduced ? "" : "; --reduce-range avoids that");
}

std::string factors_text(const QuantizeOnnxAnswer& answer) {
  if (answer.factors.empty()) return "";
  const onnx::InputScaling& done = answer.scaling;
  if (done.folded + done.multiplied == 0)
    return std::string(answer.factors) + ": none, for no activation is better with them";
  return fmt::format("{}: {}, {} by what makes them, {} by a Mul", answer.factors,
                     plural(done.folded + done.multiplied, "activation"), done.folded,
                     done.multiplied);
}

void show_quantized_onnx(const QuantizeOnnxAnswer& answer, FileTask& task) {
  if (task.json) return show_json(answer, task);
  if (task.alone || answer.dry_run) show_text(answer, task);
}

std::string quantized_onnx_summary(const QuantizeOnnxAnswer& answer, const FileTask& task) {
  return fmt::format("{} {}: {} quantised, {}", answer.dry_run ? "would write" : "wrote",
                     task.output.empty() ? "it" : output_text(task.output),
                     plural(answer.report.layers.size(), "weight"),
                     format_bytes(answer.file_bytes + answer.sidecar_bytes));
}

}  // namespace mlc::cli
