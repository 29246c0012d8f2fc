#include "compress/prune_onnx_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

using onnx::ChannelGroup;

constexpr size_t kGroupsShown = 20;

struct Totals {
  uint64_t groups = 0;    // that lose channels
  uint64_t whole = 0;     // of which none can go
  uint64_t channels = 0;  // of all groups
  uint64_t gone = 0;
  uint64_t dead = 0;
};

Totals totals_of(const PruneOnnxAnswer& answer) {
  Totals out;
  for (const ChannelGroup& group : answer.plan.groups) {
    out.groups += group.gone.empty() ? 0 : 1;
    out.whole += group.units.empty() ? 1 : 0;
    out.channels += static_cast<uint64_t>(group.channels);
    out.gone += gone_channels(group);
    out.dead += static_cast<uint64_t>(group.dead * group.unit_width());
  }
  return out;
}

std::string members_text(const ChannelGroup& group) {
  if (group.weights.size() < 2) return group.name;
  return fmt::format("{} and {} more", group.name, group.weights.size() - 1);
}

void show_groups(const PruneOnnxAnswer& answer, FileTask& task) {
  Table table({{"GROUP", Align::left, true},
               {"CHANNELS", Align::right},
               {answer.only_groups ? "CAN GO" : "KEPT", Align::right},
               {"REMARK"}});
  const auto& groups = answer.plan.groups;
  const size_t shown = answer.only_groups ? groups.size() : std::min(groups.size(), kGroupsShown);
  for (size_t i = 0; i < shown; ++i) {
    const ChannelGroup& group = groups[i];
    const auto free = static_cast<int64_t>(group.units.size()) * group.unit_width();
    const int64_t count =
        answer.only_groups ? free : group.channels - static_cast<int64_t>(gone_channels(group));
    table.add({members_text(group), std::to_string(group.channels), std::to_string(count),
               state_text(group)});
  }
  table.render(task.out, task.width);
  if (shown < groups.size()) task.out.line("and " + format_count(groups.size() - shown) + " more");
}

std::string how_text(const PruneOnnxAnswer& answer) {
  std::string out = answer.rules.amount ? answer.rules.amount->text() : "nothing";
  if (answer.rules.amount && answer.rules.amount->is_count)
    out += answer.rules.amount->count == 1 ? " channel" : " channels";
  out += answer.rules.scope == PruneScope::global ? " of all groups together" : " of each group";
  if (answer.calibrated_on > 0) {
    out += ", least loss on the samples";
  } else {
    out += answer.rules.norm == PruneNorm::l2 ? ", smallest l2 norm" : ", smallest l1 norm";
  }
  if (answer.rules.round_to > 1)
    out += fmt::format(", multiples of {} stay", answer.rules.round_to);
  return out;
}

void show_text(const PruneOnnxAnswer& answer, FileTask& task) {
  for (const auto& fact : pruned_onnx_facts(answer, task))
    task.out.line(fmt::format("{:<10}{}", fact[0], printable(fact[1])));
  if (answer.not_verified.empty()) show_outputs(answer, task);
  task.out.line("");
  show_groups(answer, task);
}

void verified_json(const PruneOnnxAnswer& answer, JsonWriter& json) {
  judgement_json(answer, json);
  if (answer.not_verified.empty()) json.field("unread_sqnr_db", answer.equal_db);
}

void groups_json(const PruneOnnxAnswer& answer, JsonWriter& json) {
  json.key("groups");
  json.begin_array();
  for (const ChannelGroup& group : answer.plan.groups) {
    json.begin_object();
    json.field("name", group.name);
    json.field("channels", group.channels);
    json.field("units", group.all_units());
    json.field("can_go", static_cast<uint64_t>(group.units.size()));
    json.field("gone", static_cast<uint64_t>(group.gone.size()));
    json.field("dead", group.dead);
    json.field("selected", group.is_selected);
    json.field("reason", group.reason);
    json.list("weights", group.weights);
    json.end_object();
  }
  json.end_array();
}

void show_json(const PruneOnnxAnswer& answer, FileTask& task) {
  const Totals totals = totals_of(answer);
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.prune-onnx/1");
  json.field("input", task.input);
  json.field("output", answer.only_groups ? "" : task.output);
  json.field("dry_run", answer.dry_run || answer.only_groups);
  json.field("scope", answer.rules.scope == PruneScope::global ? "global" : "layer");
  json.field("norm", answer.rules.norm == PruneNorm::l2 ? "l2" : "l1");
  json.field("round_to", answer.rules.round_to);
  json.field("channels", totals.channels);
  if (!answer.only_groups) {
    json.field("gone", totals.gone);
    json.field("weights_before", answer.weights_before);
    json.field("weights_after", answer.weights_after);
    json.field("samples_read", answer.calibrated_on);
    json.field("compensated", static_cast<uint64_t>(answer.compensated));
    json.field("norms", static_cast<uint64_t>(answer.restated));
    json.field("rebuilt", answer.rebuilt);
    json.field("input_bytes", answer.input_bytes);
    json.field("file_bytes", answer.file_bytes);
    json.field("sidecar_bytes", answer.sidecar_bytes);
    if (!answer.architecture.empty()) json.field("architecture", answer.architecture);
    verified_json(answer, json);
  }
  groups_json(answer, json);
  json.end_object();
}

}  // namespace

uint64_t gone_channels(const ChannelGroup& group) {
  return group.gone.size() * static_cast<uint64_t>(group.unit_width());
}

std::string state_text(const ChannelGroup& group) {
  if (group.units.empty()) return "stays: " + group.reason;
  std::vector<std::string> parts;
  if (!group.is_selected) parts.emplace_back("not chosen");
  if (group.unit_width() > 1) parts.push_back(fmt::format("{} at a time", group.unit_width()));
  if (group.frozen > 0) parts.push_back(fmt::format("{} stay: {}", group.frozen, group.reason));
  if (group.dead > 0) parts.push_back(fmt::format("{} dead", group.dead * group.unit_width()));
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

std::vector<std::vector<std::string>> pruned_onnx_facts(const PruneOnnxAnswer& answer,
                                                        const FileTask& task) {
  std::vector<std::vector<std::string>> out;
  const auto add = [&](std::string label, std::string text) {
    out.push_back({std::move(label), std::move(text)});
  };
  const Totals totals = totals_of(answer);
  const uint64_t after = answer.file_bytes + answer.sidecar_bytes;
  add("model", fmt::format("{} ({})", task.input, format_bytes(answer.input_bytes)));
  add("pruned", how_text(answer));
  add("channels",
      fmt::format("{} of {} went, in {}{}", format_count(totals.gone),
                  format_count(totals.channels), plural(totals.groups, "group"),
                  totals.whole > 0 ? fmt::format("; {} cannot lose any", totals.whole) : ""));
  if (totals.dead > 0)
    add("dead", plural(totals.dead, "channel") + " of zeros only, which go first");
  add("weights", fmt::format("{} to {}", format_count(answer.weights_before),
                             format_count(answer.weights_after)));
  add("size",
      fmt::format("{} to {}, {:.2f}x", format_bytes(answer.input_bytes), format_bytes(after),
                  static_cast<double>(answer.input_bytes) / static_cast<double>(after)));
  if (!answer.architecture.empty()) add("sizes", "in " + answer.architecture);
  if (answer.calibrated_on > 0)
    add("made up",
        fmt::format(
            "{} for {}: {:.1f} % of what they read is told by what is left",
            plural(answer.compensated, "weight") +
                (answer.restated > 0 ? " and " + plural(answer.restated, "batch norm") : ""),
            plural(answer.calibrated_on, "sample"), 100 * answer.rebuilt));
  if (answer.seconds_after > 0) add("latency", latency_text(answer));
  if (!answer.not_verified.empty()) {
    add("verified", "no: " + answer.not_verified);
    return out;
  }
  add("verified",
      fmt::format("{} beside the whole model with these channels unread: {}", samples_text(answer),
                  answer.equal_db ? fmt::format("{:.0f} dB", *answer.equal_db) : "exact"));
  return out;
}

void show_pruned_onnx(PruneOnnxAnswer& answer, FileTask& task) {
  if (task.json) return show_json(answer, task);
  if (answer.only_groups) return show_groups(answer, task);
  if (task.alone || answer.dry_run) show_text(answer, task);
}

std::string pruned_onnx_summary(const PruneOnnxAnswer& answer, const FileTask& task) {
  const Totals totals = totals_of(answer);
  if (answer.only_groups)
    return fmt::format("{}, {} of which cannot lose channels",
                       plural(answer.plan.groups.size(), "group"), totals.whole);
  return fmt::format("{} {}: {} of {} channels taken away, {}{}",
                     answer.dry_run ? "would write" : "wrote",
                     task.output.empty() ? "it" : output_text(task.output),
                     format_count(totals.gone), format_count(totals.channels),
                     format_bytes(answer.file_bytes + answer.sidecar_bytes), answer.tied);
}

}  // namespace mlc::cli
