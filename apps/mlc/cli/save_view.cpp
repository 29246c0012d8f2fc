#include "cli/save_view.h"

#include "cli/json_writer.h"
#include "cli/open_input.h"
#include "cli/table.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/write_sharded.h"

namespace mlc::cli {

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
  uint64_t overflowed = 0;
  const auto overflows = outcome.casts.overflowed();
  for (const auto& [name, count] : overflows) overflowed += count;
  json.field("overflowed", overflowed);
  json.key("overflows");
  json.begin_object();
  for (const auto& [name, count] : overflows) json.field(name, count);
  json.end_object();
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
