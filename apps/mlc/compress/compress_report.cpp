#include "compress/compress_report.h"

#include "cli/html_page.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"
#include "mlc/tensor/shape.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kWorstShown = 25;
constexpr size_t kGroupsDrawn = 60;

using Rows = std::vector<std::vector<std::string>>;

/// A weight as all of the pages show it.
struct Layer {
  std::string name;
  std::string how;  // "int8, 768x768"
  uint64_t bytes = 0;
  double db = 0;  // infinite: exact
};

std::string axis_bytes(double value) {
  return format_bytes(static_cast<uint64_t>(value));
}

std::string axis_number(double value) {
  return fmt::format("{:g}", value);
}

std::string points_of(const std::vector<Layer>& layers, std::string_view bytes,
                      std::string_view note) {
  std::vector<PlotPoint> points;
  size_t exact = 0;
  for (const Layer& layer : layers) {
    if (!std::isfinite(layer.db) || layer.bytes == 0) {
      ++exact;
      continue;
    }
    points.push_back({static_cast<double>(layer.bytes), layer.db,
                      fmt::format("{}: {}, {}, {} dB", layer.name, layer.how,
                                  format_bytes(layer.bytes), db_text(layer.db))});
  }
  std::string text(note);
  if (exact > 0)
    text += fmt::format(" {} lost nothing and {} not shown.", plural(exact, "weight"),
                        exact == 1 ? "is" : "are");
  return point_plot("Error against size", text, {std::string(bytes), axis_bytes},
                    {"SQNR in dB", axis_number}, points);
}

/// LAYERS, the worst first.
std::string worst_plot(const std::vector<Layer>& layers, std::string_view note) {
  std::vector<Bar> bars;
  for (const Layer& layer : layers) {
    if (bars.size() == kWorstShown) break;
    if (!std::isfinite(layer.db)) continue;
    bars.push_back({layer.name + ": " + layer.how, std::max(layer.db, 0.0), std::nullopt,
                    db_text(layer.db) + " dB"});
  }
  if (bars.empty()) return "";
  std::string text(note);
  if (layers.size() > bars.size())
    text += fmt::format(" {} more lost less.", format_count(layers.size() - bars.size()));
  return bar_plot("Worst layers", text, bars);
}

std::string size_text(uint64_t before, uint64_t after) {
  const double ratio = after == 0 ? 0 : static_cast<double>(before) / static_cast<double>(after);
  return fmt::format("{} to {}, {:.2f}x", format_bytes(before), format_bytes(after), ratio);
}

std::string made_by() {
  return "mlc " + std::string(mlc_version());
}

std::string refusal(std::string_view refused) {
  if (refused.empty()) return "";
  return "<p><strong>No model was written</strong>: " + escaped_html(refused) + ".</p>\n";
}

constexpr std::string_view kSqnrNote =
    "Signal to noise of each quantised weight. More dB are better: 6 dB are one bit, below about "
    "20 dB a layer usually shows.";

std::string latency_plot(const Judgement& judgement, std::string_view before,
                         std::string_view after) {
  if (!judgement.not_verified.empty()) return "";
  const auto bar = [](std::string_view label, double seconds) {
    return Bar{std::string(label), seconds, std::nullopt, fmt::format("{:.3g} ms", seconds * 1e3)};
  };
  const std::string note =
      fmt::format("Median of a call in {} on {} with {}. Shorter is better: {:.2f}x.",
                  escaped_html(judgement.engine), plural(judgement.threads, "thread"),
                  judgement.cpu.empty() ? std::string("no vector instructions that matter")
                                        : escaped_html(judgement.cpu),
                  judgement.seconds_before / judgement.seconds_after);
  return bar_plot("Latency", note,
                  {bar(before, judgement.seconds_before), bar(after, judgement.seconds_after)});
}

std::string outputs_table(const Judgement& judgement) {
  if (!judgement.not_verified.empty()) return "";
  Rows rows;
  for (const JudgedOutput& one : judgement.outputs) {
    rows.push_back({one.name,
                    one.exact     ? "exact"
                    : one.sqnr_db ? db_text(*one.sqnr_db)
                                  : "-",
                    one.cosine ? fmt::format("{:.6f}", *one.cosine) : "-",
                    one.top1 ? fmt::format("{:.4g}", *one.top1) : "-",
                    fmt::format("{:.3g}", one.max_abs)});
  }
  return html_section("Outputs",
                      fmt::format("Both models on the same {}: the least cosine of all, how often "
                                  "the largest value stands where it stood.",
                                  plural(static_cast<uint64_t>(judgement.samples), "sample")),
                      html_table({"output", "SQNR dB", "cosine", "top-1", "max abs"}, rows));
}

std::string kept_table(const Rows& rows) {
  if (rows.empty()) return "";
  return html_section("Kept as they are", "And why.",
                      html_table({"tensor", "reason", "size"}, rows, TableKind::text));
}

double pruned_db(const PrunedTensor& one) {
  return sqnr_db(one.energy_before, one.energy_before - one.energy_after);
}

std::string percent(double part, double whole) {
  return fmt::format("{:.1f} %", whole > 0 ? 100 * part / whole : 0);
}

}  // namespace

std::string quantized_html(const QuantizeAnswer& answer, const FileTask& task) {
  const QuantTotals done = totals_of(answer, true);
  const QuantTotals kept = totals_of(answer, false);
  const ErrorSums sums = all_sums(answer.plan);
  const std::string fallbacks = fallback_text(answer.plan);
  Rows rows = {
      {"source", task.input},
      {"file", task.output},
      {"size", size_text(answer.input_bytes, answer.saved.file_size)},
      {"bits", fmt::format("{:.2f} a weight, kept ones included", bits_per_weight(answer))},
      {"schemes", done.tensors == 0 ? "none" : schemes_text(answer.plan)},
      {"quantised",
       fmt::format("{}, {}", plural(done.tensors, "tensor"), size_text(done.before, done.after))},
      {"kept", kept.tensors == 0
                   ? "none"
                   : fmt::format("{}, {}: {}", plural(kept.tensors, "tensor"),
                                 format_bytes(kept.before), kept_counts(answer.plan))},
      {"fallbacks", fallbacks.empty() ? "none" : fallbacks},
  };
  if (done.tied > 0)
    rows.push_back({"tied", plural(done.tied, "more name") + " of quantised tensors"});
  if (done.tensors > 0)
    rows.push_back(
        {"SQNR", db_text(sqnr_db(sums.signal, sums.noise)) + " dB of all quantised weights"});
  if (answer.by_data) rows.push_back({"by data", by_data_text(*answer.by_data)});
  rows.push_back({"layout", std::string(to_string(answer.plan.format)) + ", " + answer.format});
  rows.push_back(
      {"latency", "not measured: a checkpoint has no program; mlc bench measures what runs it"});
  rows.push_back({"made by", made_by()});
  std::vector<Layer> layers;
  for (const WeightPlan* weight : worst_first(answer.plan)) {
    const Tensor& tensor = answer.checkpoint.tensors[weight->tensor];
    layers.push_back({weight->names[0],
                      scheme_text(*weight) + ", " + format_shape(answer.checkpoint.sizes(tensor)),
                      bytes_after(answer.checkpoint, *weight), weight->sqnr()});
  }
  Rows left;
  for (const WeightPlan& weight : answer.plan.weights) {
    if (weight.is_quantized()) continue;
    left.push_back({weight.names[0], std::string(kept_text(weight.kept)),
                    format_bytes(bytes_before(answer.checkpoint, weight))});
  }
  return html_page(
      "mlc quantize",
      html_table({}, rows, TableKind::text) + points_of(layers, "bytes after", kSqnrNote) +
          worst_plot(layers, "The smallest SQNR first: longer is better.") + kept_table(left));
}

std::string quantized_onnx_html(const QuantizeOnnxAnswer& answer, const FileTask& task,
                                std::string_view refused) {
  const OnnxQuantTotals totals = totals_of(answer.report);
  std::string out = refusal(refused);
  Rows rows = {
      {"source", task.input},
      {"model", task.output},
      {"form", answer.form_text()},
      {"size", size_text(answer.input_bytes, answer.file_bytes + answer.sidecar_bytes)},
      {"bits", fmt::format("{:.2f} a quantised weight", totals.bits())},
      {"quantised",
       fmt::format("{}, {}", schemes_text(answer.report), size_text(totals.before, totals.after))},
      {"kept", plural(answer.report.kept.size(), "weight")},
      {"SQNR",
       db_text(sqnr_db(totals.sums.signal, totals.sums.noise)) + " dB of all quantised weights"},
  };
  if (answer.rounding) rows.push_back({"rounding", std::string(to_string(*answer.rounding))});
  if (answer.by_data) rows.push_back({"by data", by_data_text(*answer.by_data)});
  if (const std::string text = saturation_text(answer); !text.empty())
    rows.push_back({"saturation", text});
  if (const std::string text = factors_text(answer); !text.empty())
    rows.push_back({"factors", text});
  if (answer.drop) rows.push_back({"drop", drop_result_text(*answer.drop)});
  if (answer.drop && answer.drop->right) rows.push_back({"right", right_text(*answer.drop)});
  if (!answer.not_verified.empty()) rows.push_back({"run", "no: " + answer.not_verified});
  rows.push_back({"made by", made_by()});
  std::vector<Layer> layers;
  for (const onnx::QuantizedLayer* layer : worst_first(answer.report)) {
    layers.push_back({layer->weight, layer->scheme + ", " + format_shape(layer->sizes),
                      layer->bytes_after, layer->sqnr()});
  }
  Rows left;
  for (const onnx::KeptWeight& kept : answer.report.kept) {
    left.push_back({kept.weight, kept.reason, format_bytes(kept.bytes)});
  }
  out += html_table({}, rows, TableKind::text) + outputs_table(answer) +
         latency_plot(answer, "float model", "quantised");
  if (answer.drop) out += drop_html(*answer.drop);
  out += points_of(layers, "bytes after", kSqnrNote) +
         worst_plot(layers, "The smallest SQNR first: longer is better.");
  return html_page("mlc quantize", out + kept_table(left));
}

std::string quantized_script_html(const QuantizeScriptAnswer& answer, const FileTask& task,
                                  std::string_view refused) {
  const ScriptQuantTotals totals = totals_of(answer.report);
  Rows rows = {
      {"source", task.input},
      {"model", task.output},
      {"form", answer.form + (answer.reduced ? ", activations of 7 bits" : "")},
      {"engine for bytes", answer.report.backend},
      {"size", size_text(answer.input_bytes, answer.file_bytes)},
      {"bits", fmt::format("{:.2f} a quantised weight", totals.bits())},
      {"quantised", operators_text(answer.report) + ", " + size_text(totals.before, totals.after)},
      {"kept", plural(answer.report.kept.size(), "weight")},
      {"SQNR", db_text(sqnr_db(totals.signal, totals.noise)) + " dB of all quantised weights"},
  };
  if (answer.cuts_sums) {
    rows.push_back(
        {"saturation", std::string(kCutSums) + "cuts large sums: --reduce-range avoids that"});
  }
  if (answer.drop) rows.push_back({"drop", drop_result_text(*answer.drop)});
  if (answer.drop && answer.drop->right) rows.push_back({"right", right_text(*answer.drop)});
  if (!answer.not_verified.empty()) rows.push_back({"run", "no: " + answer.not_verified});
  rows.push_back({"made by", made_by()});
  std::vector<Layer> layers;
  for (const ScriptLayer* layer : worst_first(answer.report)) {
    layers.push_back({layer->weight, layer->scheme + ", " + format_shape(layer->sizes),
                      layer->bytes_after, sqnr_db(layer->signal, layer->noise)});
  }
  Rows left;
  for (const ScriptKept& kept : answer.report.kept)
    left.push_back({kept.weight, kept.reason, format_bytes(kept.bytes)});
  std::string out = refusal(refused) + html_table({}, rows, TableKind::text);
  out += outputs_table(answer) + latency_plot(answer, "float model", "quantised");
  if (answer.drop) out += drop_html(*answer.drop);
  out += points_of(layers, "bytes after", kSqnrNote);
  out += worst_plot(layers, "The smallest SQNR first: longer is better.");
  return html_page("mlc quantize", out + kept_table(left));
}

std::string pruned_html(const PruneAnswer& answer, const FileTask& task, std::string_view refused) {
  const PruneTotals totals = totals_of(answer.plan);
  const auto folded =
      static_cast<uint64_t>(std::ranges::count_if(answer.plan.tensors, &PrunedTensor::is_folded));
  const auto weights = static_cast<double>(totals.weights);
  Rows rows = {
      {"source", task.input},
      {"file", task.output},
      {"size", refused.empty() ? size_text(answer.input_bytes, answer.saved.file_size)
                               : format_bytes(answer.input_bytes)},
      {"pruned", how_text(answer.plan.rules)},
      {"zeros", fmt::format("{} of {} weights in {}, {} before",
                            percent(static_cast<double>(totals.zeros_after), weights),
                            format_count(totals.weights), plural(totals.tensors, "tensor"),
                            percent(static_cast<double>(totals.zeros_before), weights))},
      {"squares kept", percent(totals.energy_after, totals.energy_before)},
      {"deflated", plural(answer.saved.deflated, "record")},
      {"left", left_counts(answer.plan)},
  };
  if (!refused.empty())
    std::erase_if(rows, [](const auto& row) { return row[0] == "file" || row[0] == "deflated"; });
  if (folded > 0)
    rows.push_back(
        {"masks", plural(folded, "tensor") +
                      (answer.keep_masks ? " with a mask before" : " folded with their masks")});
  if (answer.by_data) rows.push_back({"by data", by_data_text(*answer.by_data)});
  rows.push_back({"latency", "as before: dense kernels multiply zeros like any weight"});
  rows.push_back({"made by", made_by()});
  std::vector<Layer> layers;
  for (const PrunedTensor* one : worst_first(answer.plan)) {
    const Tensor& tensor = answer.checkpoint.tensors[one->tensor];
    layers.push_back(
        {one->names[0],
         percent(static_cast<double>(one->zeros_after), static_cast<double>(one->weights)) +
             " zeros, " + format_shape(answer.checkpoint.sizes(tensor)),
         one->weights * info(tensor.dtype).bytes, pruned_db(*one)});
  }
  return html_page(
      "mlc prune",
      refusal(refused) + html_table({}, rows, TableKind::text) +
          points_of(layers, "bytes",
                    "What is left of each tensor to what went, in squares. More dB are better.") +
          worst_plot(layers, "The smallest SQNR first: longer is better."));
}

std::string pruned_channels_html(const PruneOnnxAnswer& answer, const FileTask& task,
                                 std::string_view refused) {
  std::vector<Bar> bars;
  Rows groups;
  for (const onnx::ChannelGroup& group : answer.plan.groups) {
    const auto before = static_cast<double>(group.channels);
    const uint64_t kept = static_cast<uint64_t>(group.channels) - gone_channels(group);
    if (!group.gone.empty() && bars.size() < kGroupsDrawn) {
      bars.push_back({group.name, static_cast<double>(kept), before,
                      fmt::format("{} of {}", kept, group.channels)});
    }
    groups.push_back({group.name, std::to_string(group.channels), std::to_string(kept),
                      std::to_string(group.weights.size()), state_text(group)});
  }
  Rows facts = pruned_onnx_facts(answer, task);
  facts.push_back({"file", task.output});
  facts.push_back({"made by", made_by()});
  std::string out = refusal(refused) + html_table({}, facts, TableKind::text);
  out += outputs_table(answer) + latency_plot(answer, "whole model", "pruned");
  if (!bars.empty()) {
    out += bar_plot("Channels that stay",
                    "Of the groups that lose some, in the order of the model; the tick is where a "
                    "group began.",
                    bars);
  }
  out += html_section("Groups", "Channels that can only go together.",
                      html_table({"group", "channels", "kept", "weights", "remark"}, groups));
  return html_page("mlc prune", out);
}

Status write_html(const std::string& page, const std::string& path, const OutputOptions& options,
                  std::span<const std::shared_ptr<const InputFile>> sources) {
  MLC_TRY(OutputFile out, OutputFile::create(path, options));
  MLC_CHECK(out.write(page));
  return out.publish(sources);
}

}  // namespace mlc::cli
