#include "diff/diff_report.h"
#include "mlc/checkpoint/stored_parts.h"

namespace mlc::cli {

void FileDiff::side_json(JsonWriter& json, std::string_view name, const DiffSide& side) const {
  json.key(name);
  json.begin_object();
  json.field("file", side.input.checkpoint->path);
  json.field("format", format_name(side.input.checkpoint->format));
  json.key("key");
  if (side.key.empty())
    json.null();
  else
    json.value(side.key);
  json.field("tensors", side.tensors.size());
  if (!arguments_.strip_prefix.empty()) json.field("stripped", side.stripped);
  json.end_object();
}

void FileDiff::tensor_json(JsonWriter& json, std::string_view name, const DiffSide& side,
                           uint32_t index) const {
  if (index == kNoIndex) return;
  const Checkpoint& checkpoint = *side.input.checkpoint;
  const Tensor& tensor = checkpoint.tensors[index];
  json.key(name);
  json.begin_object();
  json.field("layout", layout_name(checkpoint, tensor));
  json.field("dtype", info(tensor.dtype).torch);
  json.list("shape", checkpoint.sizes(tensor));
  json.end_object();
}

void FileDiff::values_json(JsonWriter& json, const Difference& difference) const {
  const CompareResult& values = *difference.values;
  json.key("values");
  json.begin_object();
  json.field("count", values.count);
  json.field("mismatches", values.mismatches);
  if (values.first_mismatch) json.field("first_mismatch", *values.first_mismatch);
  json.field("max_abs", values.max_abs);
  json.field("max_rel", values.max_rel);
  json.field("nan_pairs", values.nan_pairs);
  json.field("infinite_pairs", values.infinite_pairs);
  json.field("rel_norm", values.rel_norm);
  json.field("cosine", values.cosine);
  json.end_object();
}

void FileDiff::difference_json(JsonWriter& json, const Difference& difference) const {
  json.begin_object();
  json.field("kind", diff_kind_name(difference.kind));
  json.field("name", difference.key);
  tensor_json(json, "a", a_, difference.a);
  tensor_json(json, "b", b_, difference.b);
  if (difference.values) values_json(json, difference);
  if (!difference.reason.empty()) json.field("reason", difference.reason);
  json.end_object();
}

void FileDiff::show_json() {
  JsonWriter json(context_.out());
  json.begin_object();
  json.field("schema", "mlc.diff/1");
  json.field("equal", equal());
  side_json(json, "a", a_);
  side_json(json, "b", b_);
  json.field("common", report_.common);
  json.field("bytes", report_.bytes);
  json.field("equal_tensors", equal_tensors());
  json.field("value_equal", report_.value_equal);
  json.key("counts");
  json.begin_object();
  for (const DiffKindText& row : kDiffKindTexts) {
    json.field(diff_kind_name(row.kind), report_.count(row.kind));
  }
  json.field("metadata", metadata_.size());
  json.field("other_values", values_.size());
  json.end_object();
  json.key("differences");
  json.begin_array();
  for (const Difference& difference : report_.differences) difference_json(json, difference);
  json.end_array();
  json.key("metadata");
  json.begin_array();
  for (const MetadataDifference& row : metadata_) {
    json.begin_object();
    json.field("path", row.path);
    for (const auto& [name, value] : {std::pair("a", row.a), std::pair("b", row.b)}) {
      if (value == nullptr) continue;
      json.key(name);
      json.raw(value->to_json());
    }
    json.end_object();
  }
  json.end_array();
  json.key("other_values");
  json.begin_array();
  for (const ValueDifference& row : values_) {
    json.begin_object();
    json.field("path", row.path);
    if (!row.a.empty()) json.field("a", row.a);
    if (!row.b.empty()) json.field("b", row.b);
    json.end_object();
  }
  json.end_array();
  json.list("notes", notes_);
  json.end_object();
}

}  // namespace mlc::cli
