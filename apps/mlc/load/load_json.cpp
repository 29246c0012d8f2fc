#include "cli/json_writer.h"
#include "files/unsafe_values.h"
#include "load/load_report.h"
#include "load/load_tree.h"
#include "load/stats_view.h"
#include "load/values_json.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/engine/extra_files.h"

namespace mlc::cli {
void LoadReport::tensor_json(JsonWriter& json, size_t i) {
  const Checkpoint& checkpoint = *input_.checkpoint;
  const Tensor& tensor = checkpoint.tensors[tensors_[i].tensor];
  json.begin_object();
  json.field("name", tensors_[i].path);
  json.field("dtype", info(tensor.dtype).torch);
  if (has_shape(checkpoint, tensor)) {
    json.list("shape", checkpoint.sizes(tensor));
  } else {
    json.key("shape");
    json.null();
  }
  const auto stands_for = deepspeed_.placeholders.find(tensors_[i].tensor);
  if (stands_for != deepspeed_.placeholders.end()) {
    json.list("placeholder_of", stands_for->second);
  }
  if (const auto values = stored_values(checkpoint, tensor)) json.field("nnz", *values);
  if (i >= entries_) json.field("in_value", true);
  json.field("bytes", stored_bytes(checkpoint, tensor));
  if (tensor.kind != TensorKind::dense && tensor.detail != kNoIndex) {
    json.field("layout", checkpoint.details[tensor.detail]);
  }
  if (tensor.storage != kNoIndex) {
    json.field("storage", tensor.storage);
    if (show_devices_ || !options_.map_location.empty()) json.field("device", location_of(tensor));
  }
  if (options_.stats) {
    json.key("stats");
    stats_json(json, stats_[i]);
  }
  if (!hashes_.empty()) json.field("sha256", hashes_[i]);
  json.end_object();
}

void LoadReport::contents_json(JsonWriter& json) const {
  json.list("also_here", other_values());
  if (state_dict_ != nullptr) {
    std::vector<std::string> keys;
    for (const StateDictEntry& other : state_dict_->others) keys.emplace_back(other.key);
    json.list("other_keys", keys);
  }
  if (options_.tree) {
    json.field("tree", render_tree(*input_.checkpoint));
    json.key("values");
    values_json(json, *input_.checkpoint);
  }
  json.key("state_dicts");
  json.begin_array();
  for (const StateDict& one : input_.state_dicts) {
    json.begin_object();
    json.field("path", one.path);
    if (!one.other_paths.empty()) json.list("also_at", one.other_paths);
    json.field("tensors", one.entries.size());
    json.field("recovered", one.module != kNoNode);
    if (one.is_part) json.field("part", true);
    json.end_object();
  }
  json.end_array();
  json.key("key");
  if (state_dict_ != nullptr)
    json.value(state_dict_->path);
  else if (!below_.empty())
    json.value(below_);
  else
    json.null();
}

void LoadReport::summary_json(JsonWriter& json) const {
  json.key("totals");
  json.begin_object();
  json.field("tensors", summary_.tensors);
  json.field("parameters", summary_.parameters);
  json.field("bytes", summary_.bytes);
  json.field("storage_bytes", summary_.storage_bytes);
  json.field("unused_bytes", summary_.wasted_bytes);
  json.field("dead_bytes", dead_bytes(*input_.checkpoint));
  if (arrays_ > 0) json.field("numpy_arrays", arrays_);
  if (options_.stats) {
    count_non_finite(stats_).write(json);
  }
  json.end_object();
  json.key("dtypes");
  json.begin_object();
  for (const auto& [dtype, count] : summary_.dtypes) json.field(info(dtype).torch, count);
  json.end_object();
  json.key("shared");
  json.begin_array();
  for (const auto& group : summary_.shared) {
    json.begin_array();
    for (const std::string& name : group) json.value(name);
    json.end_array();
  }
  json.end_array();
}

void LoadReport::verdict_json(JsonWriter& json) const {
  json.field("weights_only", verdict_.accepts());
  json.list("refused_globals", verdict_.refused_globals);
  json.list("code_globals", verdict_.code_globals);
  json.list("refused_otherwise", verdict_.refused);
  if (!verdict_.imports.empty()) json.list("accepted_after_import", verdict_.imports);
  json.field("read_by", verdict_.other_reader.empty() ? "torch.load" : verdict_.other_reader);
  if (!options_.globals) return;
  json.key("globals");
  json.begin_array();
  for (const pickle::GlobalUse& use : globals_) {
    json.begin_object();
    json.field("name", use.module + "." + use.name);
    json.field("uses", use.count);
    json.field("allowed", pickle::weights_only_allows(use.module, use.name));
    json.end_object();
  }
  json.end_array();
}

void LoadReport::metadata_json(JsonWriter& json) const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  if (!checkpoint.string_metadata.empty()) {
    json.key("string_metadata");
    json.begin_object();
    for (const auto& [key, value] : checkpoint.string_metadata) json.field(key, value);
    json.end_object();
  }
  if (!metadata_) return;
  json.key("metadata");
  json.raw(metadata_->to_json());
  if (!sidecar_.empty()) json.field("metadata_sidecar", sidecar_);
}

void LoadReport::integrity_json(JsonWriter& json) const {
  if (integrity_) {
    json.key("check");
    json.begin_object();
    json.field("records", integrity_->records);
    json.field("without_crc", integrity_->without_crc);
    json.field("tensors_without_crc", tensors_without_crc());
    json.field("has_checksums", integrity_->has_checksums);
    json.key("damaged");
    json.begin_array();
    for (const DamagedRecord& row : integrity_->damaged) {
      json.begin_object();
      json.field("record", row.record);
      json.list("tensors", damaged_tensors(row));
      json.field("offset", row.offset.value_or(row.header_offset));
      json.field("offset_of", row.offset ? "data" : "header");
      json.field("problem", row.problem);
      json.end_object();
    }
    json.end_array();
    json.key("zero_tails");
    json.begin_array();
    for (const ZeroTail& tail : zero_tails_) {
      json.begin_object();
      json.field("file", input_.checkpoint->files[tail.file]->path());
      json.field("bytes", tail.bytes);
      json.field("tensors", tail.storages);
      json.field("first", tensor_of(tail.first));
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }
  if (!file_hash_.empty()) json.field("sha256", file_hash_);
}

void LoadReport::expect_json(JsonWriter& json) const {
  if (!expected_) return;
  json.key("expect");
  json.begin_object();
  json.field("satisfied", expected_->satisfied);
  json.list("missing", expected_->missing);
  json.list("ignored", expected_->ignored);
  json.list("filled", expected_->filled);
  json.key("tied");
  json.begin_array();
  for (const TiedKey& one : expected_->tied) {
    json.begin_object();
    json.field("name", one.name);
    json.field("under", one.under);
    json.end_object();
  }
  json.end_array();
  json.list("unexpected", expected_->unexpected);
  json.list("ignored_unexpected", expected_->ignored_unexpected);
  json.list("no_tensors", expected_->no_tensors);
  json.key("mismatched");
  json.begin_array();
  for (const ShapeMismatch& row : expected_->mismatched) {
    json.begin_object();
    json.field("name", row.name);
    json.list("found", row.found);
    json.list("expected", row.expected);
    json.end_object();
  }
  json.end_array();
  json.key("other_forms");
  json.begin_array();
  for (const FormMismatch& row : expected_->other_forms) {
    json.begin_object();
    json.field("name", row.name);
    json.field("found", row.found);
    json.field("expected", row.expected);
    json.end_object();
  }
  json.end_array();
  json.field("hint", expected_->hint);
  json.end_object();
}

void LoadReport::deepspeed_json(JsonWriter& json) const {
  if (deepspeed_.placeholders.empty() && deepspeed_.flat_parts == 0) return;
  json.key("deepspeed");
  json.begin_object();
  json.field("placeholders", deepspeed_.placeholders.size());
  json.field("flat_parts", deepspeed_.flat_parts);
  if (deepspeed_.zero_stage) json.field("zero_stage", *deepspeed_.zero_stage);
  json.end_object();
}

void LoadReport::codes_json(JsonWriter& json) const {
  if (!codes_.empty()) json.field("scaled_codes", codes_.size());
}

void LoadReport::show_json() {
  const Checkpoint& checkpoint = *input_.checkpoint;
  JsonWriter json(task_.out, task_.json_layout());
  json.begin_object();
  json.field("schema", "mlc.load/1");
  json.field("file", checkpoint.path);
  json.field("format", format_name(checkpoint.format));
  json.field("file_bytes", total_size(checkpoint));
  json.key("origin");
  json.begin_object();
  json.field("writer", checkpoint.origin.writer);
  json.field("torch", checkpoint.origin.torch_exactly);
  json.field("torch_at_least", checkpoint.origin.torch_at_least);
  json.end_object();
  contents_json(json);
  if (const auto extra = extra_file_names(checkpoint); !extra.empty()) {
    json.list("extra_files", extra);
  }
  json.list("prefix_hints", hints_of_prefixes());
  summary_json(json);
  verdict_json(json);
  metadata_json(json);
  integrity_json(json);
  expect_json(json);
  deepspeed_json(json);
  codes_json(json);
  if (!options_.summary_only) {
    json.key("tensors");
    json.begin_array();
    for (size_t i = 0; i < tensors_.size(); ++i) tensor_json(json, i);
    json.end_array();
  }
  json.end_object();
}

}  // namespace mlc::cli
