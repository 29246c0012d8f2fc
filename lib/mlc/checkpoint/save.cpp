#include "mlc/checkpoint/save.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/lower_tensors.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/planned_size.h"
#include "mlc/checkpoint/write_torch_zip.h"
#include "mlc/pickle/writer.h"

#include <array>

namespace mlc {
namespace {

struct Extension {
  std::string_view suffix;
  OutputFormat format;
};

constexpr auto kExtensions = std::to_array<Extension>({
    {".safetensors", OutputFormat::safetensors},
    {".pt", OutputFormat::torch_zip},
    {".pth", OutputFormat::torch_zip},
    {".bin", OutputFormat::torch_zip},
    {".ckpt", OutputFormat::torch_zip},
    {".pth.tar", OutputFormat::torch_zip},
    {".pkl", OutputFormat::torch_zip},
    {".model", OutputFormat::torch_zip},
});

std::optional<OutputFormat> by_extension(const std::string& path) {
  for (const Extension& row : kExtensions) {
    if (path.ends_with(row.suffix)) return row.format;
  }
  return std::nullopt;
}

SafetensorsOptions safetensors_options(const Checkpoint& checkpoint, const SaveOptions& options) {
  SafetensorsOptions out{checkpoint.string_metadata, options.shared, options.threads};
  if (options.metadata_yaml) out.string_metadata.emplace_back("mlc", *options.metadata_yaml);
  return out;
}

Result<SaveReport> write_to(Checkpoint& checkpoint, const StateDict* state_dict, OutputFile& out,
                            const SaveOptions& options, Reporter& reporter) {
  SaveReport report;
  if (options.format == OutputFormat::torch_zip) {
    report.tensors = count_names(checkpoint, checkpoint.root);
    TorchZipOptions zip{root_folder_for(out.path()), options.metadata_yaml, options.threads};
    zip.deflated = options.deflated;
    MLC_TRY(const WriteSummary summary, write_torch_zip(checkpoint, out, zip, reporter));
    report.bytes = summary.bytes;
    report.deflated = summary.deflated;
    return report;
  }
  if (state_dict == nullptr) return internal_error("safetensors without a state_dict");
  MLC_CHECK(check_only_tensors(checkpoint, *state_dict));
  const SafetensorsOptions tensors = safetensors_options(checkpoint, options);
  report.left_out = values_beside(checkpoint, *state_dict);
  MLC_TRY(SafetensorsSummary summary,
          write_safetensors(checkpoint, named_tensors(*state_dict), out, tensors, reporter));
  report.tensors = summary.tensors;
  report.bytes = summary.bytes;
  report.aliases = std::move(summary.aliases);
  report.overlaps = std::move(summary.overlaps);
  return report;
}

}  // namespace

Status check_only_tensors(const Checkpoint& checkpoint, const StateDict& state_dict) {
  const auto* entries = checkpoint.graph.entries(state_dict.node);
  if (entries == nullptr) return {};
  for (const StateDictEntry& other : state_dict.others) {
    if (!is_module_key(other.key) || module_of_extra_state(other.key)) continue;
    const uint64_t tensors = count_names(checkpoint, (*entries)[other.position].second);
    if (tensors == 0) continue;
    return unsupported("safetensors and shards cannot hold " + quoted(other.key) +
                           ", a value with " + plural(tensors, "tensor") +
                           " in it, which the model needs",
                       "a .pt keeps it");
  }
  return {};
}

Result<OutputFormat> output_format_of(const std::string& path, std::string_view format) {
  const auto extension = by_extension(path);
  if (format.empty()) {
    if (extension) return *extension;
    if (path.ends_with(".npz") || path.ends_with(".npy")) {
      return usage_error("NumPy's files are read only, so " + quoted(path) + " cannot be written",
                         "name it .pt or .safetensors");
    }
    return usage_error("cannot tell the format of " + quoted(path) + " from its name",
                       path.ends_with(".onnx") ? "`mlc export-onnx` makes ONNX of a model"
                                               : "add --format pt or --format safetensors");
  }
  const OutputFormat chosen =
      format == "safetensors" ? OutputFormat::safetensors : OutputFormat::torch_zip;
  if (extension && *extension != chosen) {
    return usage_error("--format " + std::string(format) + " contradicts the name " + quoted(path));
  }
  return chosen;
}

std::vector<NamedTensor> named_tensors(const StateDict& state_dict) {
  std::vector<NamedTensor> out;
  out.reserve(state_dict.entries.size());
  for (const StateDictEntry& entry : state_dict.entries) {
    out.push_back({std::string(entry.key), entry.tensor});
  }
  return out;
}

namespace {

/// Whether load_state_dict of a module takes the VALUE under KEY, which is no tensor: extra state,
/// and what quantised modules pack (torch/ao/nn/quantized/modules/linear.py): a tuple of a weight
/// and a bias, and its dtype.
bool is_for_modules(const Checkpoint& checkpoint, NodeId key, NodeId value) {
  const pickle::Graph& graph = checkpoint.graph;
  if (!graph.is(key, pickle::NodeKind::text)) return false;
  const std::string_view name = graph.text(key);
  if (name == "_metadata" || module_of_extra_state(name)) return true;
  return is_packed_key(name) || (is_module_key(name) && count_names(checkpoint, value) > 0);
}

}  // namespace

std::vector<std::pair<std::string, uint64_t>> keep_only(Checkpoint& checkpoint,
                                                        StateDict& state_dict) {
  pickle::Graph& graph = checkpoint.graph;
  checkpoint.root = state_dict.node;
  checkpoint.extra_records.clear();
  std::vector<std::pair<std::string, uint64_t>> dropped;
  std::vector<pickle::Entry>* entries = graph.entries_for_edit(state_dict.node);
  if (entries == nullptr || state_dict.other_values == 0) return dropped;
  std::erase_if(*entries, [&](const pickle::Entry& entry) {
    const bool kept = checkpoint.tensor_at(entry.second) != kNoIndex ||
                      is_for_modules(checkpoint, entry.first, entry.second);
    if (!kept) {
      dropped.emplace_back(key_text(graph, entry.first), count_names(checkpoint, entry.second));
    }
    return !kept;
  });
  read_again(checkpoint, state_dict);
  return dropped;
}

Result<SaveReport> plan_checkpoint(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options) {
  if (!path.empty()) MLC_CHECK(OutputFile::check(path, options.output));
  SaveReport report;
  if (options.format == OutputFormat::torch_zip) {
    report.tensors = count_names(checkpoint, checkpoint.root);
    MLC_TRY(const std::vector<uint32_t> storages, lower_tensors(checkpoint));
    MLC_CHECK(pickle::write(checkpoint.graph, checkpoint.root));
    for (const uint32_t one : storages) report.bytes += checkpoint.storages[one].byte_size();
    return report;
  }
  if (state_dict == nullptr) return internal_error("safetensors without a state_dict");
  MLC_CHECK(check_only_tensors(checkpoint, *state_dict));
  report.left_out = values_beside(checkpoint, *state_dict);
  MLC_TRY(SafetensorsSummary summary, plan_safetensors(checkpoint, named_tensors(*state_dict),
                                                       safetensors_options(checkpoint, options)));
  report.tensors = summary.tensors;
  report.bytes = summary.bytes;
  report.aliases = std::move(summary.aliases);
  report.overlaps = std::move(summary.overlaps);
  return report;
}

Result<uint64_t> planned_file_size(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options) {
  if (options.format == OutputFormat::torch_zip) {
    return torch_zip_size(checkpoint, {root_folder_for(path), options.metadata_yaml});
  }
  if (state_dict == nullptr) return internal_error("safetensors without a state_dict");
  MLC_CHECK(check_only_tensors(checkpoint, *state_dict));
  return safetensors_size(checkpoint, named_tensors(*state_dict),
                          safetensors_options(checkpoint, options));
}

Result<SaveReport> save_checkpoint(Checkpoint& checkpoint, const StateDict* state_dict,
                                   const std::string& path, const SaveOptions& options,
                                   Reporter& reporter) {
  MLC_TRY(OutputFile out, OutputFile::create(path, options.output));
  MLC_TRY(SaveReport report, write_to(checkpoint, state_dict, out, options, reporter));
  report.file_size = out.position();
  if (options.inspect) {
    MLC_CHECK(out.flush());
    MLC_CHECK(options.inspect("/proc/self/fd/" + std::to_string(out.fd())));
  }
  MLC_CHECK(out.publish(checkpoint.files));
  return report;
}

}  // namespace mlc
