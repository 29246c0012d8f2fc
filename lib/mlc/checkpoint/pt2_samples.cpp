#include "mlc/checkpoint/pt2_samples.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/readers.h"

namespace mlc {
namespace {

/// PyTorch 2.7 and later: data/sample_inputs/MODEL.pt; before that one record of a fixed name,
/// which is empty where there is nothing to keep.
const ZipEntry* samples_entry(const ZipReader& zip) {
  if (const ZipEntry* old = zip.record("serialized_example_inputs.pt")) return old;
  const ZipEntry* found = nullptr;
  for (const ZipEntry& entry : zip.entries()) {
    const std::string_view name = zip.relative_name(entry);
    if (!name.starts_with("data/sample_inputs/") || !name.ends_with(".pt")) continue;
    if (found != nullptr) return nullptr;  // of several programs
    found = &entry;
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_pt2_samples(const Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  const ZipEntry* entry = samples_entry(zip);
  if (entry == nullptr || entry->size == 0) return std::unique_ptr<Checkpoint>();
  if (!entry->is_stored()) {
    return unsupported("entry " + quoted(entry->name) + " is compressed");
  }
  const std::string what = "entry " + quoted(entry->name);
  auto samples = std::make_unique<Checkpoint>();
  samples->path = checkpoint.path;
  samples->files.push_back(zip.shared_file());
  MLC_TRY(const uint64_t offset, zip.data_offset(*entry));
  MLC_TRY_CTX(ZipReader inner,
              ZipReader::open(zip.shared_file(), {offset, entry->size}, ZipDialect::torch), what);
  samples->archives.push_back(std::move(inner));
  MLC_TRY_CTX(samples->root, read_zip_pickle(*samples, 0), what);
  return samples;
}

}  // namespace mlc
