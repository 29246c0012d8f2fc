#include "save/save_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "files/open_input.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/write_sharded.h"

namespace mlc::cli {
namespace {

/// Fields SUM, the values of all LOSSES, and NAMES, those of each tensor.
void losses_json(JsonWriter& json, std::string_view sum, std::string_view names,
                 const std::vector<CastLoss>& losses) {
  json.field(sum, count_values(losses));
  json.key(names);
  json.begin_object();
  for (const CastLoss& loss : losses) json.field(loss.name, loss.values);
  json.end_object();
}

}  // namespace

void save_json(FileTask& task, const SaveRequest& request, const SaveOutcome& outcome) {
  const SaveReport& report = outcome.report;
  JsonWriter json(task.out, task.json_layout());
  json.begin_object();
  json.field("schema", "mlc.save/1");
  json.field("input", task.input);
  json.field("output", task.output);
  json.field("dry_run", request.writing.dry_run);
  json.field("format", outcome.format == OutputFormat::torch_zip ? "pt" : "safetensors");
  json.field("tensors", report.tensors);
  json.field("bytes", report.bytes);
  json.field("file_bytes", report.file_size);
  json.key("aliases");
  json.begin_object();
  for (const auto& [dropped, kept] : report.aliases) json.field(dropped, kept);
  json.end_object();
  json.key("overlaps");
  json.begin_array();
  for (const auto& group : report.overlaps) {
    json.begin_array();
    for (const std::string& name : group) json.value(name);
    json.end_array();
  }
  json.end_array();
  json.list("left_out", report.left_out);
  if (request.max_shard_size > 0) json.list("oversized", oversized_names(report));
  json.list("dropped", outcome.dropped);
  if (!request.drop_values.empty()) json.list("dropped_values", outcome.dropped_values);
  losses_json(json, "overflowed", "overflows", outcome.casts.overflowed());
  losses_json(json, "underflowed", "underflows", outcome.casts.underflowed());
  if (outcome.migration != nullptr) {
    json.key("from");
    migration_json(json, *outcome.migration);
  }
  json.end_object();
}

void show_plan(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
               FileTask& task) {
  Table table({{"NAME", Align::left, true}, {"DTYPE"}, {"SHAPE"}, {"BYTES", Align::right}});
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    table.add({shown_key(named.path), info(tensor.dtype).brief, shape_text(checkpoint, tensor),
               std::to_string(stored_bytes(checkpoint, tensor))});
  }
  table.render(task.out, task.width);
}

}  // namespace mlc::cli
