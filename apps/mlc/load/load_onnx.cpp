#include "load/load_onnx.h"

#include "cli/table.h"
#include "files/key_filter.h"
#include "files/open_input.h"
#include "files/unused_patterns.h"
#include "load/stats_view.h"
#include "mlc/base/text.h"
#include "mlc/metadata/metadata.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/tensor/shape.h"
#include "mlc/tensor/tensor_view.h"
#include "models/onnx_draft.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// A checkpoint has what these ask for, an ONNX model has not.
Status refuse_options(const LoadOptions& options) {
  const std::pair<bool, std::string_view> of_checkpoints[] = {
      {!options.key.empty(), "--key"},
      {options.tree, "--tree"},
      {options.globals, "--globals"},
      {!options.map_location.empty(), "--map-location"},
      {options.check != LoadCheck::none, "--check"},
      {!options.expect.empty(), "--expect"},
      {options.require_safe, "--require-safe"}};
  for (const auto& [given, name] : of_checkpoints) {
    if (!given) continue;
    return unsupported("is an ONNX model, which has nothing for " + std::string(name),
                       "an ONNX model can be asked for --include, --exclude, --stats, "
                       "--require-finite, --summary and --json");
  }
  return {};
}

/// "batch", "384", or "?" for a size of which nothing is known.
std::string dim_text(const OnnxDim& dim) {
  if (dim.size) return std::to_string(*dim.size);
  return dim.symbol.empty() ? "?" : printable(dim.symbol);
}

/// "f32[batch, 384]", "f32 of any rank", "a sequence".
std::string type_text(const OnnxValue& value) {
  if (value.kind != OnnxKind::tensor && value.kind != OnnxKind::sparse_tensor)
    return std::string(to_string(value.kind));
  const std::string element = onnx_type_name(value.element);
  if (!value.dims) return element + " of any rank";
  std::vector<std::string> sizes;
  for (const OnnxDim& dim : *value.dims) sizes.push_back(dim_text(dim));
  return fmt::format("{}[{}]", element, fmt::join(sizes, ", "));
}

/// "ai.onnx" for ONNX's own.
std::string domain_text(const std::string& domain) {
  return domain.empty() ? "ai.onnx" : printable(domain);
}

/// As in all JSON: PyTorch's name; where it has no such type ONNX's.
std::string dtype_name(int64_t element) {
  const auto dtype = dtype_from_onnx(element);
  return dtype ? std::string(info(*dtype).torch) : onnx_type_name(element);
}

/// Of OnnxKind, in its order.
constexpr std::array<std::string_view, 7> kKinds = {
    "unknown", "tensor", "sparse_tensor", "sequence", "map", "optional", "opaque"};

void values_json(JsonWriter& json, std::string_view name, const std::vector<OnnxValue>& values) {
  json.key(name);
  json.begin_array();
  for (const OnnxValue& value : values) {
    json.begin_object();
    json.field("name", value.name);
    json.field("kind", kKinds[static_cast<size_t>(value.kind)]);
    json.key("dtype");
    if (value.element != 0)
      json.value(dtype_name(value.element));
    else
      json.null();
    json.key("shape");
    if (value.dims) {
      json.begin_array();
      for (const OnnxDim& dim : *value.dims) {
        if (dim.size)
          json.value(*dim.size);
        else if (dim.symbol.empty())
          json.null();
        else
          json.value(dim.symbol);
      }
      json.end_array();
    } else {
      json.null();
    }
    json.end_object();
  }
  json.end_array();
}

class OnnxReport {
 public:
  OnnxReport(FileTask& task, const LoadOptions& options, const onnx::Document& model)
      : task_(task), options_(options), model_(model), filter_(options.include, options.exclude) {}

  Result<FileReport> run();

 private:
  Status select();
  Status compute_stats();
  std::optional<uint64_t> bytes_of(const onnx::DocTensor& tensor) const;
  uint64_t file_bytes() const;
  std::vector<OnnxOperator> operators() const;
  void line(std::string_view label, std::string_view text);
  std::string summary() const;
  std::string values_text() const;
  void read_metadata();
  void show_text();
  void show_table();
  void show_json();
  void tensors_json(JsonWriter& json) const;

  FileTask& task_;
  const LoadOptions& options_;
  const onnx::Document& model_;
  KeyFilter filter_;
  std::vector<const onnx::DocTensor*> tensors_;
  std::vector<std::optional<TensorStats>> stats_;
  std::optional<Metadata> metadata_;
  uint64_t parameters_ = 0;
  uint64_t bytes_ = 0;
  std::map<int64_t, uint64_t> dtypes_;
};

/// Nothing for strings and types that nobody knows.
std::optional<uint64_t> OnnxReport::bytes_of(const onnx::DocTensor& tensor) const {
  const auto count = element_count(tensor.sizes);
  return count ? onnx_bytes(tensor.element, static_cast<uint64_t>(*count)) : std::nullopt;
}

uint64_t OnnxReport::file_bytes() const {
  uint64_t out = 0;
  for (const auto& file : model_.files()) out += file->size();
  return out;
}

/// The most frequent first.
std::vector<OnnxOperator> OnnxReport::operators() const {
  std::vector<OnnxOperator> out = model_.facts().operators;
  std::ranges::stable_sort(out, std::ranges::greater(), &OnnxOperator::count);
  return out;
}

Status OnnxReport::select() {
  std::vector<std::string> names;
  for (const onnx::DocTensor& tensor : model_.tensors) {
    names.push_back(tensor.name);
    if (!filter_.selects(tensor.name)) continue;
    tensors_.push_back(&tensor);
    parameters_ += static_cast<uint64_t>(element_count(tensor.sizes).value_or(0));
    bytes_ += bytes_of(tensor).value_or(0);
    ++dtypes_[tensor.element];
  }
  if (!tensors_.empty() || names.empty()) return {};
  const std::string near = near_globs_hint(options_.include, names);
  return usage_error("no key is selected by " + globs_text(options_.include, options_.exclude),
                     !near.empty() ? near
                                   : "without --include and --exclude `mlc load` lists those to "
                                     "choose from");
}

Status OnnxReport::compute_stats() {
  if (!options_.stats) return {};
  const ProgressScope progress(task_.reporter, "reading " + task_.input, bytes_);
  for (const onnx::DocTensor* tensor : tensors_) {
    if (task_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const auto dtype = tensor->dtype();
    stats_.emplace_back();
    if (!dtype || tensor->data == nullptr) continue;
    MLC_TRY(const onnx::Buffer buffer, tensor->data->produce());
    const std::vector<int64_t> strides = contiguous_strides(tensor->sizes);
    const TensorView view{*dtype, tensor->sizes, strides, 0, buffer.bytes};
    MLC_TRY(stats_.back(), tensor_stats(view, task_.threads));
    task_.reporter.advance(buffer.bytes.size());
  }
  return {};
}

/// Metadata that cannot be read say nothing about the model.
void OnnxReport::read_metadata() {
  const auto yaml = model_.metadata(kMetadataKey);
  if (!yaml) return;
  auto parsed = Metadata::parse(*yaml, task_.input, ErrorKind::corrupt);
  if (parsed.ok())
    metadata_ = std::move(*parsed);
  else
    task_.reporter.warn(parsed.error().text());
}

Result<FileReport> OnnxReport::run() {
  MLC_CHECK(select());
  MLC_CHECK(compute_stats());
  read_metadata();
  filter_.warn_of_unused(task_.reporter);
  FileReport report;
  const bool diverged = options_.require_finite && count_non_finite(stats_).tensors > 0;
  if (diverged) report.code = ExitCode::no;
  report.passed = options_.require_finite && !diverged;
  if (task_.json) {
    show_json();
  } else if (task_.alone || (options_.stats && !options_.summary_only)) {
    show_text();
  } else {
    report.summary = plural(model_.facts().nodes, "node") + ", " + summary();
  }
  return report;
}

void OnnxReport::line(std::string_view label, std::string_view text) {
  task_.out.write(fmt::format("{:<12} {}\n", label, text));
}

std::string OnnxReport::values_text() const {
  return count_non_finite(stats_).text() +
         non_finite_names(stats_, [this](size_t i) { return tensors_[i]->name; });
}

std::string OnnxReport::summary() const {
  std::string text = plural(tensors_.size(), "tensor") + ", " + plural(parameters_, "parameter") +
                     ", " + format_bytes(bytes_);
  if (options_.stats) text += "; " + values_text();
  return text;
}

void OnnxReport::show_text() {
  const OnnxFile& facts = model_.facts();
  line("file", printable(task_.input) + " (onnx, " + format_bytes(file_bytes()) + ")");
  if (!facts.producer.empty()) line("written by", printable(facts.producer));
  std::vector<std::string> opsets;
  for (const auto& [domain, version] : facts.opsets)
    opsets.push_back(domain_text(domain) + " " + std::to_string(version));
  line("opsets", join_list(opsets) + "; IR version " + std::to_string(facts.ir_version));
  for (const OnnxValue& input : facts.inputs)
    line("input", printable(input.name) + " " + type_text(input));
  for (const OnnxValue& output : facts.outputs)
    line("output", printable(output.name) + " " + type_text(output));
  std::vector<std::string> counts;
  for (const OnnxOperator& one : operators()) {
    const std::string domain = one.domain.empty() ? "" : printable(one.domain) + "::";
    counts.push_back(domain + printable(one.type) + " " + format_count(one.count));
  }
  line("nodes", format_count(facts.nodes) + (counts.empty() ? "" : ": " + join_list(counts, 12)));
  line("tensors", summary());
  std::vector<std::string> dtypes;
  for (const auto& [element, count] : dtypes_)
    dtypes.push_back(onnx_type_name(element) + " " + format_count(count));
  if (!dtypes.empty()) line("dtypes", join_list(dtypes));
  for (size_t i = 1; i < model_.files().size(); ++i)
    line("beside",
         printable(model_.files()[i]->path()) + ", " + format_bytes(model_.files()[i]->size()));
  std::vector<std::string> keys;
  for (const auto& [key, value] : model_.all_metadata()) {
    const std::string name = metadata_ && key == kMetadataKey ? metadata_->name().value_or("") : "";
    keys.push_back(printable(key) + (name.empty() ? "" : " (" + printable(name) + ")"));
  }
  if (!keys.empty()) line("metadata", join_list(keys));
  if (!options_.summary_only && !tensors_.empty()) show_table();
}

void OnnxReport::show_table() {
  std::vector<Column> columns = {{"NAME", Align::left, true},
                                 {"DTYPE", Align::left},
                                 {"SHAPE", Align::left},
                                 {"BYTES", Align::right}};
  if (options_.stats) add_stats_columns(columns);
  Table table(columns);
  table.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const onnx::DocTensor& tensor = *tensors_[i];
    const auto bytes = bytes_of(tensor);
    table.cell(shown_key(tensor.name));
    table.cell(onnx_type_name(tensor.element));
    table.cell(format_shape(tensor.sizes));
    table.cell(bytes ? std::to_string(*bytes) : "-");
    if (options_.stats) add_stats(table, stats_[i]);
  }
  task_.out.write("\n");
  table.render(task_.out, task_.width);
}

void OnnxReport::tensors_json(JsonWriter& json) const {
  json.key("tensors");
  json.begin_array();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const onnx::DocTensor& tensor = *tensors_[i];
    json.begin_object();
    json.field("name", tensor.name);
    json.field("dtype", dtype_name(tensor.element));
    json.list("shape", tensor.sizes);
    json.field("bytes", bytes_of(tensor));
    if (options_.stats) {
      json.key("stats");
      stats_json(json, stats_[i]);
    }
    json.end_object();
  }
  json.end_array();
}

void OnnxReport::show_json() {
  const OnnxFile& facts = model_.facts();
  JsonWriter json(task_.out, task_.json_layout());
  json.begin_object();
  json.field("schema", "mlc.load-onnx/1");
  json.field("file", task_.input);
  json.field("format", "onnx");
  json.field("file_bytes", file_bytes());
  json.field("producer", facts.producer);
  json.field("ir_version", facts.ir_version);
  json.key("opsets");
  json.begin_object();
  // Of what a file says twice, as no writer does, JSON has the last.
  std::map<std::string, int64_t> opsets;
  for (const auto& [domain, version] : facts.opsets)
    opsets[domain.empty() ? "ai.onnx" : domain] = version;
  for (const auto& [domain, version] : opsets) json.field(domain, version);
  json.end_object();
  values_json(json, "inputs", facts.inputs);
  values_json(json, "outputs", facts.outputs);
  json.field("nodes", facts.nodes);
  json.key("operators");
  json.begin_array();
  for (const OnnxOperator& one : operators()) {
    json.begin_object();
    json.field("domain", one.domain.empty() ? "ai.onnx" : one.domain);
    json.field("name", one.type);
    json.field("count", one.count);
    json.end_object();
  }
  json.end_array();
  json.key("totals");
  json.begin_object();
  json.field("tensors", tensors_.size());
  json.field("parameters", parameters_);
  json.field("bytes", bytes_);
  if (options_.stats) count_non_finite(stats_).write(json);
  json.end_object();
  json.key("dtypes");
  json.begin_object();
  for (const auto& [element, count] : dtypes_) json.field(dtype_name(element), count);
  json.end_object();
  std::vector<std::string> beside;
  for (size_t i = 1; i < model_.files().size(); ++i) beside.push_back(model_.files()[i]->path());
  json.list("files_beside", beside);
  json.key("metadata_props");
  json.begin_object();
  std::map<std::string, std::string> entries;
  for (const auto& [key, value] : model_.all_metadata()) entries[key] = value;
  for (const auto& [key, value] : entries) json.field(key, value);
  json.end_object();
  if (metadata_) {
    json.key("metadata");
    json.raw(metadata_->to_json());
  }
  tensors_json(json);
  json.end_object();
}

}  // namespace

Result<FileReport> load_onnx(FileTask& task, const LoadOptions& options) {
  Status usable = refuse_options(options);
  if (!usable.ok()) return std::move(usable).error().in_file(task.input);
  auto model = onnx::Document::open(task.input);
  if (!model.ok()) return std::move(model).error().in_file(task.input);
  auto report = OnnxReport(task, options, *model).run();
  if (!report.ok()) return std::move(report).error().in_file(task.input);
  return report;
}

}  // namespace mlc::cli
