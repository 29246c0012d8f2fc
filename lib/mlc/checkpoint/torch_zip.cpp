// The zip format of torch.save since 1.6: torch/serialization.py,
// caffe2/serialize/inline_container.cc.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/json_scanner.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/script_forms.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/checkpoint/zip_records.h"
#include "mlc/pickle/reader.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <vector>

namespace mlc {
namespace {

constexpr uint64_t kMaxPickleBytes = uint64_t{2} << 30U;
constexpr uint64_t kMaxTextRecord = 64;
constexpr uint64_t kMaxMetadataBytes = 16U << 20U;
// A header of safetensors has at most 100 MB; as JSON of another writer it may take more.
constexpr uint64_t kMaxStringsBytes = 256U << 20U;
constexpr int kOldestVersion = 1;
constexpr int kNewestVersion = 10;  // kMaxSupportedFileFormatVersion

/// A record that holds a few characters; nothing where it is absent.
Result<std::optional<std::string>> short_record(const ZipReader& zip, std::string_view name) {
  const ZipEntry* entry = zip.record(name);
  if (entry == nullptr) return std::optional<std::string>();
  MLC_TRY(std::string text, zip.read(*entry, kMaxTextRecord));
  return std::optional(std::string(trim(text)));
}

Result<int64_t> read_version(const ZipReader& zip) {
  MLC_TRY(auto text, short_record(zip, "version"));
  if (!text) {
    MLC_TRY(text, short_record(zip, ".data/version"));
  }
  if (!text) {
    return corrupt("the archive has no `version` record, so no PyTorch wrote it",
                   "if it was packed again, pack the whole folder with its `version` file");
  }
  int64_t version = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), version);
  if (error != std::errc() || end != text->data() + text->size()) {
    return corrupt("the `version` record says " + quoted(*text) + ", which is not a number");
  }
  if (version < kOldestVersion || version > kNewestVersion) {
    return unsupported("archive version " + std::to_string(version) + "; PyTorch knows 1 to 10");
  }
  return version;
}

Result<bool> read_big_endian(const ZipReader& zip) {
  MLC_TRY(const auto order, short_record(zip, "byteorder"));
  if (!order || *order == "little") return false;
  if (*order == "big") return true;
  return corrupt("the `byteorder` record says " + quoted(*order) + " instead of little or big");
}

/// torch.save writes whatever alignment it is told, and torch.load looks at the record only where
/// it computes offsets: nothing here depends on it, but that reader goes wrong or stops.
Status warn_of_alignment(Checkpoint& checkpoint) {
  const ZipEntry* entry = checkpoint.archives[0].record(".storage_alignment");
  if (entry == nullptr) return {};
  MLC_TRY(const std::string record, checkpoint.archives[0].read(*entry, kMaxTextRecord));
  const std::string_view text = trim(record);
  uint64_t alignment = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), alignment);
  const bool number = error == std::errc() && end == text.data() + text.size();
  if (number && std::has_single_bit(alignment)) return {};
  checkpoint.warnings.push_back("the `.storage_alignment` record says " + quoted(text) +
                                ", which is not a power of two");
  return {};
}

/// What the set of records tells about the program that wrote the archive.
Origin origin_of(const ZipReader& zip, int64_t version) {
  Origin origin;
  origin.format_version = version;
  if (zip.record(kWriterRecord) != nullptr) {
    origin.writer = "mlc";
    return origin;
  }
  struct Row {
    std::string_view record;
    std::string_view at_least;
  };
  static constexpr Row kRows[] = {{".format_version", "2.7"}, {"byteorder", "2.1"}};
  origin.torch_at_least = "1.6";
  for (const Row& row : kRows) {
    if (zip.record(row.record) == nullptr) continue;
    origin.torch_at_least = row.at_least;
    break;
  }
  origin.writer = "PyTorch " + origin.torch_at_least + " or newer";
  return origin;
}

/// Registers the storages of one archive as the pickle mentions them.
class ZipStorages {
 public:
  ZipStorages(Checkpoint& checkpoint, uint32_t archive, std::string_view pickle, bool big_endian)
      : checkpoint_(checkpoint),
        archive_(archive),
        folder_(std::string(pickle) + "/"),
        big_endian_(big_endian),
        by_entry_(checkpoint.archives[archive].entries().size(), kNoIndex) {
    // Most records are storages with one tensor each.
    checkpoint.storages.reserve(checkpoint.storages.size() + by_entry_.size());
    checkpoint.tensors.reserve(checkpoint.tensors.size() + by_entry_.size());
  }

  Result<uint32_t> resolve(NodeId persistent) {
    const pickle::Graph& graph = checkpoint_.graph;
    MLC_TRY(const StorageReference reference,
            parse_storage_reference(graph, graph.persistent_id(persistent), 5));
    const size_t entry = entry_of(reference.key);
    if (entry < by_entry_.size() && by_entry_[entry] != kNoIndex) {
      MLC_CHECK(check_same_storage(checkpoint_.storages[by_entry_[entry]], reference));
      return by_entry_[entry];
    }
    MLC_CHECK_CTX(add(reference, entry), "storage " + quoted(reference.key));
    return by_entry_[entry];
  }

 private:
  /// The index of the record of KEY among the archive's entries, or their number. Storages follow
  /// one another in most archives as in their pickles: the next entry is tried first.
  size_t entry_of(std::string_view key) {
    const ZipReader& zip = checkpoint_.archives[archive_];
    const auto entries = zip.entries();
    name_.assign(folder_).append(key);
    const size_t next = last_ + 1;
    if (next < entries.size() && zip.relative_name(entries[next]) == name_) return last_ = next;
    const ZipEntry* entry = zip.record(name_);
    if (entry == nullptr) return entries.size();
    return last_ = static_cast<size_t>(entry - entries.data());
  }

  Status add(const StorageReference& reference, size_t index) {
    Storage storage = described_storage(reference);
    storage.big_endian = big_endian_;
    storage.archive = archive_;
    storage.entry = static_cast<uint32_t>(index);
    if (index == by_entry_.size()) return corrupt("the archive has no record " + quoted(name_));
    const ZipEntry& entry = checkpoint_.archives[archive_].entries()[index];
    if (entry.size != storage.byte_size()) {
      return corrupt("its record has " + std::to_string(entry.size) + " bytes, its " +
                     std::to_string(storage.elements) + " elements of " +
                     std::string(info(storage.dtype).brief) + " need " +
                     std::to_string(storage.byte_size()));
    }
    by_entry_[index] = static_cast<uint32_t>(checkpoint_.storages.size());
    checkpoint_.storages.push_back(storage);
    return {};
  }

  Checkpoint& checkpoint_;
  uint32_t archive_;
  std::string folder_;
  bool big_endian_;
  std::vector<uint32_t> by_entry_;  // the storage of each entry of the archive
  size_t last_ = 0;
  std::string name_;
};

/// Whether torch.save or mlc writes a record of this name, or writes into this folder.
bool is_known_record(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  static constexpr std::string_view kNames[] = {"data.pkl", "byteorder", "version",
                                                ".format_version", ".storage_alignment"};
  static constexpr std::string_view kFolders[] = {"data/", ".data/", "mlc/"};
  const auto starts = [&](std::string_view folder) { return name.starts_with(folder); };
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         std::any_of(std::begin(kFolders), std::end(kFolders), starts);
}

std::vector<uint32_t> find_extra_records(const ZipReader& zip) {
  std::vector<uint32_t> extra;
  const auto entries = zip.entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string_view name = zip.relative_name(entries[i]);
    if (name.starts_with("data/") || name.ends_with('/')) continue;
    const bool writable = zip_name_problem(entries[i].name).empty();
    if (writable && !is_known_record(std::string(name))) extra.push_back(static_cast<uint32_t>(i));
  }
  return extra;
}

/// The string map of the safetensors file that this one was made of.
Status read_string_metadata(Checkpoint& checkpoint, const ZipEntry& entry) {
  MLC_TRY(std::string text, checkpoint.archives[0].read(entry, kMaxStringsBytes));
  checkpoint.buffers.push_back(std::move(text));
  JsonScanner json(checkpoint.buffers.back(), 1, checkpoint.buffers);
  std::string_view key;
  std::string_view value;
  NameTable seen;
  json.begin_object();
  while (json.next_key(key) && json.string(value)) {
    if (!seen.add(key, 0)) return corrupt("the key " + quoted(key) + " is there twice");
    if (key != "mlc") checkpoint.string_metadata.emplace_back(key, value);  // that is metadata.yaml
  }
  return json.finish() ? Status() : std::move(json).error();
}

}  // namespace

Result<NodeId> read_zip_pickle(Checkpoint& checkpoint, uint32_t archive, std::string_view pickle) {
  const ZipReader& zip = checkpoint.archives[archive];
  MLC_TRY([[maybe_unused]] const int64_t version, read_version(zip));
  MLC_TRY(const bool big_endian, read_big_endian(zip));
  const std::string record = std::string(pickle) + ".pkl";
  const ZipEntry* entry = zip.record(record);
  if (entry == nullptr) {
    return corrupt("the archive has no " + record + ": torch.save failed while it wrote this file");
  }
  MLC_TRY(std::string bytes, zip.read(*entry, kMaxPickleBytes));
  checkpoint.buffers.push_back(std::move(bytes));
  const std::string& pickle_bytes = checkpoint.buffers.back();

  const auto first = static_cast<NodeId>(checkpoint.graph.size());
  MLC_TRY_CTX(pickle::ReadResult read, pickle::read(as_bytes(pickle_bytes), checkpoint.graph),
              record);
  checkpoint.pickle_protocol = read.protocol;
  if (checkpoint.refused_opcode.empty()) checkpoint.refused_opcode = read.refused_opcode;
  for (std::string& warning : read.warnings) checkpoint.warnings.push_back(std::move(warning));
  if (read.size < pickle_bytes.size()) {
    checkpoint.warnings.push_back(
        record + " has " + plural(pickle_bytes.size() - read.size, "byte") + " behind its end");
  }
  // As the reader of formats tells TorchScript from other archives.
  if (zip.record("constants.pkl") != nullptr) use_python_forms(checkpoint.graph, first);
  ZipStorages storages(checkpoint, archive, pickle, big_endian);
  MLC_CHECK_CTX(collect_tensors(checkpoint, first,
                                [&storages](NodeId node) { return storages.resolve(node); }),
                record);
  return read.root;
}

Status read_torch_zip(Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  for (const std::string& warning : zip.warnings()) checkpoint.warnings.push_back(warning);
  MLC_TRY(checkpoint.root, read_zip_pickle(checkpoint, 0));
  MLC_TRY(const int64_t version, read_version(zip));
  checkpoint.origin = origin_of(zip, version);
  MLC_CHECK(warn_of_alignment(checkpoint));
  if (const ZipEntry* metadata = zip.record("mlc/metadata.yaml")) {
    MLC_TRY(checkpoint.metadata_yaml, zip.read(*metadata, kMaxMetadataBytes));
  }
  if (const ZipEntry* strings = zip.record(kStringMetadataRecord)) {
    MLC_CHECK_CTX(read_string_metadata(checkpoint, *strings), std::string(kStringMetadataRecord));
  }
  checkpoint.extra_records = find_extra_records(zip);
  return {};
}

}  // namespace mlc
