#include "compress/prune_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "compress/judge_models.h"
#include "compress/quantize_view.h"
#include "files/open_input.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kShown = 10;

bool is_changed(const PrunedTensor& one) {
  return one.is_pruned() || one.is_folded();
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

double zero_share(uint64_t zeros, uint64_t weights) {
  return share(static_cast<double>(zeros), static_cast<double>(weights));
}

double kept_energy(double after, double before) {
  return before > 0 ? after / before : 1;
}

std::string percent(double value) {
  return fmt::format("{:.1f} %", 100 * value);
}

void show_totals(const PruneAnswer& answer, FileTask& task) {
  const auto line = [&](std::string_view label, const std::string& text) {
    task.out.line(fmt::format("{:<9}{}", label, text));
  };
  const PruneTotals totals = totals_of(answer.plan);
  const auto folded = std::ranges::count_if(answer.plan.tensors, &PrunedTensor::is_folded);
  line("file", fmt::format("{} ({})", printable(task.input), format_bytes(answer.input_bytes)));
  line("pruned", how_text(answer.plan.rules));
  if (folded > 0) {
    line("masks", plural(static_cast<uint64_t>(folded), "tensor") +
                      (answer.keep_masks ? " with a mask before" : " folded with their masks"));
  }
  line("zeros", fmt::format("{} of {} weights in {}, {} before",
                            percent(zero_share(totals.zeros_after, totals.weights)),
                            format_count(totals.weights), plural(totals.tensors, "tensor"),
                            percent(zero_share(totals.zeros_before, totals.weights))));
  line("kept",
       percent(kept_energy(totals.energy_after, totals.energy_before)) + " of the sum of squares");
  if (const std::string kept = left_counts(answer.plan); !kept.empty()) line("left", kept);
  if (answer.by_data) line("by data", by_data_text(*answer.by_data));
  line("speed", "zeros do not run faster: dense kernels multiply them like any weight");
}

void show_worst(const PruneAnswer& answer, FileTask& task) {
  const std::vector<const PrunedTensor*> worst = worst_first(answer.plan);
  if (worst.empty()) return;
  task.out.line("");
  Table table({{"WORST FIRST", Align::left, true},
               {"SHAPE"},
               {"ZEROS", Align::right},
               {"BEFORE", Align::right},
               {"SQUARES KEPT", Align::right}});
  for (size_t i = 0; i < std::min(worst.size(), kShown); ++i) {
    const PrunedTensor& one = *worst[i];
    const Tensor& tensor = answer.checkpoint.tensors[one.tensor];
    table.add({one.names[0], format_shape(answer.checkpoint.sizes(tensor)),
               percent(zero_share(one.zeros_after, one.weights)),
               percent(zero_share(one.zeros_before, one.weights)),
               percent(kept_energy(one.energy_after, one.energy_before))});
  }
  table.render(task.out, task.width);
  if (worst.size() > kShown) {
    task.out.line("and " + format_count(worst.size() - kShown) + " more");
  }
}

void tensors_json(const PruneAnswer& answer, JsonWriter& json) {
  json.key("pruned");
  json.begin_array();
  for (const PrunedTensor* one : worst_first(answer.plan)) {
    json.begin_object();
    json.field("name", one->names[0]);
    json.list("tied", std::vector(one->names.begin() + 1, one->names.end()));
    const Tensor& tensor = answer.checkpoint.tensors[one->tensor];
    json.field("dtype", info(tensor.dtype).torch);
    json.list("shape", answer.checkpoint.sizes(tensor));
    json.field("zeros_before", one->zeros_before);
    json.field("zeros_after", one->zeros_after);
    json.field("sparsity", zero_share(one->zeros_after, one->weights));
    json.field("squares_kept", kept_energy(one->energy_after, one->energy_before));
    json.field("not_finite", one->not_finite);
    json.field("folded", one->is_folded());
    json.end_object();
  }
  json.end_array();
  json.key("kept");
  json.begin_array();
  for (const PrunedTensor& one : answer.plan.tensors) {
    if (is_changed(one)) continue;
    json.begin_object();
    json.field("name", one.names[0]);
    json.field("reason", prune_kept_word(one.kept));
    json.end_object();
  }
  json.end_array();
}

void show_json(const PruneAnswer& answer, FileTask& task) {
  const PruneTotals totals = totals_of(answer.plan);
  const PruneRules& rules = answer.plan.rules;
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.prune/1");
  json.field("input", task.input);
  json.field("output", task.output);
  json.field("dry_run", answer.dry_run);
  json.field("format", answer.format);
  json.field("method", to_string(rules.method));
  json.field("pattern", rules.shape.text());
  json.field("scope", rules.scope == PruneScope::global ? "global" : "layer");
  json.key("amount");
  if (!rules.amount) {
    json.null();
  } else if (rules.amount->is_count) {
    json.value(rules.amount->count);
  } else {
    json.value(rules.amount->share);
  }
  json.field("input_bytes", answer.input_bytes);
  json.field("file_bytes", answer.saved.file_size);
  json.field("deflated", answer.saved.deflated);
  json.field("weights", totals.weights);
  json.field("zeros_before", totals.zeros_before);
  json.field("zeros_after", totals.zeros_after);
  json.field("sparsity", zero_share(totals.zeros_after, totals.weights));
  json.field("squares_kept", kept_energy(totals.energy_after, totals.energy_before));
  json.field("ties_like_torch", answer.plan.like_torch);
  if (answer.by_data) {
    const PruningGain& gain = answer.by_data->gain;
    json.key("by_data");
    json.begin_object();
    json.field("tensors", gain.weights);
    json.field("samples", answer.by_data->samples);
    json.field("output_sqnr_db", sqnr_db(gain.signal, gain.noise));
    json.field("output_sqnr_db_magnitude", sqnr_db(gain.signal, gain.noise_magnitude));
    json.end_object();
  }
  tensors_json(answer, json);
  json.end_object();
}

}  // namespace

std::string by_data_text(const DataPruning& by_data) {
  const PruningGain& gain = by_data.gain;
  return fmt::format("{} by {}: outputs of their layers {} dB, {} with the smallest gone",
                     plural(gain.weights, "tensor"), plural(by_data.samples, "sample"),
                     db_text(sqnr_db(gain.signal, gain.noise)),
                     db_text(sqnr_db(gain.signal, gain.noise_magnitude)));
}

PruneTotals totals_of(const PrunePlan& plan) {
  PruneTotals out;
  for (const PrunedTensor& one : plan.tensors) {
    if (!is_changed(one)) continue;
    ++out.tensors;
    out.weights += one.weights;
    out.zeros_before += one.zeros_before;
    out.zeros_after += one.zeros_after;
    out.energy_before += one.energy_before;
    out.energy_after += one.energy_after;
  }
  return out;
}

std::vector<const PrunedTensor*> worst_first(const PrunePlan& plan) {
  std::vector<const PrunedTensor*> out;
  for (const PrunedTensor& one : plan.tensors) {
    if (is_changed(one)) out.push_back(&one);
  }
  std::ranges::stable_sort(out, {}, [](const PrunedTensor* one) {
    return kept_energy(one->energy_after, one->energy_before);
  });
  return out;
}

std::string left_counts(const PrunePlan& plan) {
  std::map<PruneKept, uint64_t> counts;
  for (const PrunedTensor& one : plan.tensors) {
    if (!is_changed(one)) ++counts[one.kept];
  }
  std::vector<std::string> parts;
  for (const auto& [kept, count] : counts) {
    parts.push_back(format_count(count) + " " + std::string(prune_kept_text(kept)));
  }
  return join_list(parts);
}

std::string how_text(const PruneRules& rules) {
  const bool asked =
      rules.amount || !rules.rules.empty() || rules.shape.pattern != PrunePattern::unstructured;
  if (!asked) return "nothing but what the masks say";
  std::string out(to_string(rules.method));
  if (rules.method == PruneMethod::magnitude) out = "smallest magnitude";
  if (rules.amount) out = rules.amount->text() + ", " + out;
  if (rules.shape.pattern != PrunePattern::unstructured) out += ", " + rules.shape.text();
  if (rules.shape.pattern == PrunePattern::n_of_m) return out;
  return out +
         (rules.scope == PruneScope::global ? ", of all tensors together" : ", of each tensor");
}

void show_pruned(const PruneAnswer& answer, FileTask& task) {
  if (task.json) return show_json(answer, task);
  if (!task.alone) return;
  show_totals(answer, task);
  show_worst(answer, task);
}

std::string pruned_summary(const PruneAnswer& answer, const FileTask& task) {
  const PruneTotals totals = totals_of(answer.plan);
  const std::string what = fmt::format(
      "{} of {} weights in {} are zero", percent(zero_share(totals.zeros_after, totals.weights)),
      format_count(totals.weights), plural(totals.tensors, "tensor"));
  if (answer.dry_run) {
    return fmt::format("dry run: {}, {} of tensor data; nothing was written", what,
                       format_bytes(answer.saved.bytes));
  }
  const std::string deflated = answer.saved.deflated == 0
                                   ? ""
                                   : ", " + plural(answer.saved.deflated, "record") + " deflated";
  return fmt::format("wrote {}: {}, {}{}, read back and compared{}", output_text(task.output), what,
                     format_bytes(answer.saved.file_size), deflated, tied_text(answer.saved));
}

}  // namespace mlc::cli
