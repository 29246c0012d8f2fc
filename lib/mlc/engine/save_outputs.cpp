#include "mlc/engine/save_outputs.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/container/zip_writer.h"
#include "mlc/tensor/npy.h"

#include <memory>

namespace mlc {
namespace {

Result<uint64_t> save_npz(std::span<const NamedValue> values, const std::string& path,
                          const OutputOptions& options) {
  MLC_TRY(OutputFile out, OutputFile::create(path, options));
  ZipWriter zip(out, "");
  for (const NamedValue& value : values) {
    const std::string what = "output " + quoted(value.name);
    auto header = make_npy_header(value.tensor.dtype, value.tensor.sizes);
    if (!header.ok()) {
      return unsupported(header.error().message(),
                         "write .safetensors or .pt, which hold more types")
          .during(what);
    }
    MLC_CHECK_CTX(zip.add(value.name + ".npy", as_bytes(*header + *value.tensor.bytes)), what);
  }
  MLC_CHECK(zip.finish());
  const uint64_t size = out.position();
  MLC_CHECK(out.publish());
  return size;
}

/// A checkpoint whose root is a dict of VALUES.
std::unique_ptr<Checkpoint> checkpoint_of(std::span<const NamedValue> values) {
  auto checkpoint = std::make_unique<Checkpoint>();
  checkpoint->root = checkpoint->graph.add_dict();
  for (const NamedValue& value : values) {
    Storage storage;
    storage.key = checkpoint->keep(value.name);
    storage.location = "cpu";
    storage.dtype = value.tensor.dtype;
    storage.elements = static_cast<int64_t>(value.tensor.view().count());
    storage.own = held_bytes(value.tensor.bytes);
    checkpoint->storages.push_back(std::move(storage));
    Tensor tensor;
    tensor.storage = static_cast<uint32_t>(checkpoint->storages.size() - 1);
    tensor.dtype = value.tensor.dtype;
    const uint32_t index = checkpoint->add_tensor(tensor, value.tensor.sizes, value.tensor.strides);
    const NodeId key = checkpoint->graph.add_text(value.name);
    checkpoint->graph.dict(checkpoint->root).emplace_back(key, checkpoint->tensors[index].node);
  }
  return checkpoint;
}

}  // namespace

Result<OutputsFormat> outputs_format_of(const std::string& path) {
  if (path.ends_with(".npz")) return OutputsFormat::npz;
  const auto format = output_format_of(path, "");
  if (!format.ok()) {
    return usage_error("cannot tell the format of " + quoted(path) + " from its name",
                       "use .npz, .safetensors or .pt");
  }
  return *format == OutputFormat::safetensors ? OutputsFormat::safetensors
                                              : OutputsFormat::torch_zip;
}

Result<uint64_t> save_outputs(std::span<const NamedValue> values, const std::string& path,
                              const OutputOptions& options, Reporter& reporter) {
  MLC_TRY(const OutputsFormat format, outputs_format_of(path));
  if (format == OutputsFormat::npz) return save_npz(values, path, options);
  const auto checkpoint = checkpoint_of(values);
  const StateDict all = read_state_dict(*checkpoint, checkpoint->root, "");
  SaveOptions save;
  save.format =
      format == OutputsFormat::safetensors ? OutputFormat::safetensors : OutputFormat::torch_zip;
  save.output = options;
  MLC_TRY(const SaveReport report, save_checkpoint(*checkpoint, &all, path, save, reporter));
  return report.file_size;
}

}  // namespace mlc
