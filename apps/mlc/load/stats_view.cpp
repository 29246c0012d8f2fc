#include "load/stats_view.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <cmath>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// JSON has no number for what is infinite: its text stands beside the null then.
void extreme_json(JsonWriter& json, std::string_view name, const std::optional<double>& value,
                  const std::string* exact) {
  json.key(name);
  if (exact != nullptr) return json.raw(*exact);
  json.value(value);
  if (value && std::isinf(*value)) {
    json.field(std::string(name) + "_text", *value < 0 ? "-inf" : "inf");
  }
}

}  // namespace

NonFinite count_non_finite(std::span<const std::optional<TensorStats>> stats) {
  NonFinite out;
  out.asked = stats.size();
  for (const std::optional<TensorStats>& one : stats) {
    out.unseen += one ? 0 : 1;
    if (!one) continue;
    out.nans += one->nans;
    out.infs += one->infs;
    out.tensors += one->nans + one->infs > 0 ? 1 : 0;
  }
  return out;
}

std::string NonFinite::text() const {
  const std::string rest = unseen > 0 ? plural(unseen, "tensor") + " not examined" : "";
  if (unseen > 0 && unseen == asked) return rest;
  const std::string found = tensors == 0 ? "no NaN or Inf"
                                         : format_count(nans) + " NaN and " + format_count(infs) +
                                               " Inf in " + plural(tensors, "tensor");
  return rest.empty() ? found : found + ", " + rest;
}

void NonFinite::write(JsonWriter& json) const {
  json.field("nans", nans);
  json.field("infs", infs);
  json.field("non_finite_tensors", tensors);
  json.field("not_examined", unseen);
}

std::string non_finite_names(std::span<const std::optional<TensorStats>> stats,
                             const std::function<std::string(size_t)>& name) {
  constexpr size_t kShown = 5;
  std::vector<std::string> names;
  for (size_t i = 0; i < stats.size(); ++i) {
    if (stats[i] && stats[i]->nans + stats[i]->infs > 0) names.push_back(sentence_key(name(i)));
  }
  return names.empty() ? "" : ": " + join_list(names, kShown);
}

void add_stats_columns(std::vector<Column>& columns) {
  for (const char* title : {"MIN", "MAX", "MEAN", "STD", "ZEROS", "NAN", "INF"}) {
    columns.push_back({title, Align::right});
  }
}

void add_stats(Table& table, const std::optional<TensorStats>& examined) {
  const TensorStats stats = examined.value_or(TensorStats());
  const auto text = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : std::string("-");
  };
  table.cell(stats.integers ? stats.integers->min : text(stats.min));
  table.cell(stats.integers ? stats.integers->max : text(stats.max));
  table.cell(text(stats.mean));
  table.cell(text(stats.std));
  for (const uint64_t count : {stats.zeros, stats.nans, stats.infs}) {
    table.cell(examined ? std::to_string(count) : "-");
  }
}

void stats_json(JsonWriter& json, const std::optional<TensorStats>& examined) {
  const TensorStats stats = examined.value_or(TensorStats());
  const auto& integers = stats.integers;
  json.begin_object();
  extreme_json(json, "min", stats.min, integers ? &integers->min : nullptr);
  extreme_json(json, "max", stats.max, integers ? &integers->max : nullptr);
  extreme_json(json, "mean", stats.mean, nullptr);
  extreme_json(json, "std", stats.std, nullptr);
  for (const auto& [name, count] :
       {std::pair("zeros", stats.zeros), {"nans", stats.nans}, {"infs", stats.infs}}) {
    json.key(name);
    if (examined)
      json.value(count);
    else
      json.null();
  }
  json.end_object();
}

}  // namespace mlc::cli
