#include "compress/drop_view.h"

#include "cli/html_page.h"
#include "cli/table.h"
#include "compress/judge_models.h"
#include "compress/quantize_view.h"
#include "mlc/base/text.h"
#include "mlc/compress/weight_quant.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kLayersShown = 10;
constexpr std::array<std::string_view, 3> kNames = {"cosine", "top1", "labels"};
constexpr std::array<std::string_view, 3> kTitles = {"cosine", "top-1", "the labels"};

std::string_view title(DropOf of) {
  return kTitles[static_cast<size_t>(of)];
}

std::string layer_db(const LayerDrop& layer) {
  return db_text(sqnr_db(1, layer.noise));
}

/// "3 weights in floats", "2 with 8 bits, 3 in floats".
std::string undone_text(const DropRun& run) {
  std::string out;
  if (run.bytes > 0) out = plural(run.bytes, "weight") + " with 8 bits in place of 4";
  if (run.floats == 0 && !out.empty()) return out;
  if (!out.empty()) out += ", ";
  return out + (run.floats == 0 ? "nothing undone" : plural(run.floats, "weight") + " in floats");
}

}  // namespace

std::string_view to_string(DropOf of) {
  return kNames[static_cast<size_t>(of)];
}

std::string drop_text(double drop) {
  return fmt::format("{:.3g} %", drop * 100);
}

std::string drop_result_text(const DropAnswer& answer) {
  const DropRun& run = answer.trail[answer.best];
  return fmt::format("{} of {} with {}; {}, {}", drop_text(run.drop), title(answer.goal.of),
                     undone_text(run), plural(answer.runs(), "model") + " tried",
                     plural(static_cast<uint64_t>(answer.samples), "sample"));
}

std::string right_text(const DropAnswer& answer) {
  if (!answer.right) return "";
  return fmt::format("{} of {} told by the float model", format_count(answer.right->right),
                     plural(answer.right->all, "label"));
}

Status check_drop(const std::optional<DropAnswer>& answer, bool cuts_sums) {
  if (!answer || answer->reached) return {};
  const DropRun& run = answer->trail[answer->best];
  std::string hint = "of " + plural(answer->trail.size(), "choice") + " that is the best";
  if (!answer->layers.empty())
    hint += "; what costs most alone is " + printable(answer->layers.front().weight) + " with " +
            layer_db(answer->layers.front()) + " dB";
  if (cuts_sums) hint += fmt::format("; {}cuts large sums: --reduce-range avoids that", kCutSums);
  return conflict(fmt::format("outputs lose {} of {} at the least, with {}: more than --max-drop "
                              "{}; nothing was written",
                              drop_text(run.drop), title(answer->goal.of), undone_text(run),
                              drop_text(answer->goal.limit)),
                  std::move(hint));
}

void show_drop(const DropAnswer& answer, FileTask& task) {
  task.out.line("");
  Table trail({{"RUN", Align::right},
               {"8 BITS FOR 4", Align::right},
               {"IN FLOATS", Align::right},
               {"DROP", Align::right},
               {""}});
  for (size_t i = 0; i < answer.trail.size(); ++i) {
    const DropRun& run = answer.trail[i];
    trail.add({std::to_string(i + 1), std::to_string(run.bytes), std::to_string(run.floats),
               drop_text(run.drop), i == answer.best ? "taken" : ""});
  }
  trail.render(task.out, task.width);
  if (answer.layers.empty()) return;
  task.out.line("");
  Table layers({{"COSTS MOST ALONE", Align::left, true}, {"OUTPUT SQNR DB", Align::right}});
  for (size_t i = 0; i < std::min(answer.layers.size(), kLayersShown); ++i)
    layers.add({answer.layers[i].weight, layer_db(answer.layers[i])});
  layers.render(task.out, task.width);
}

void drop_json(const DropAnswer& answer, JsonWriter& json) {
  json.key("max_drop");
  json.begin_object();
  json.field("of", to_string(answer.goal.of));
  json.field("limit", answer.goal.limit);
  json.field("drop", answer.trail[answer.best].drop);
  json.field("samples", answer.samples);
  json.field("layer_samples", answer.layer_samples);
  json.field("right", answer.right ? std::optional(answer.right->share()) : std::nullopt);
  if (answer.right) json.field("labels", answer.right->all);
  json.list("in_bytes", answer.in_bytes);
  json.list("in_floats", answer.in_floats);
  json.key("trail");
  json.begin_array();
  for (const DropRun& run : answer.trail) {
    json.begin_object();
    json.field("in_bytes", run.bytes);
    json.field("in_floats", run.floats);
    json.field("drop", run.drop);
    json.end_object();
  }
  json.end_array();
  json.key("layers");
  json.begin_array();
  for (const LayerDrop& layer : answer.layers) {
    json.begin_object();
    json.field("name", layer.weight);
    json.field("output_sqnr_db", sqnr_db(1, layer.noise));
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

std::string drop_html(const DropAnswer& answer) {
  std::vector<std::vector<std::string>> runs;
  for (size_t i = 0; i < answer.trail.size(); ++i) {
    const DropRun& run = answer.trail[i];
    runs.push_back({std::to_string(i + 1), std::to_string(run.bytes), std::to_string(run.floats),
                    drop_text(run.drop), i == answer.best ? "taken" : ""});
  }
  const std::string note = fmt::format(
      "What outputs lose of {} with the worst layers undone, on {}; at most {} was "
      "asked for.",
      title(answer.goal.of), plural(static_cast<uint64_t>(answer.samples), "sample"),
      drop_text(answer.goal.limit));
  std::string out =
      html_section("The way to --max-drop", note,
                   html_table({"run", "8 bits for 4", "in floats", "drop", ""}, runs));
  if (answer.layers.empty()) return out;
  std::vector<std::vector<std::string>> layers;
  for (const LayerDrop& layer : answer.layers) layers.push_back({layer.weight, layer_db(layer)});
  return out + html_section("Layers alone",
                            "SQNR of the outputs with nothing but this layer quantised, the worst "
                            "first.",
                            html_table({"weight", "dB"}, layers));
}

}  // namespace mlc::cli
