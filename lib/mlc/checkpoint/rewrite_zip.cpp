#include "mlc/checkpoint/rewrite_zip.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/in_place_file.h"
#include "mlc/checkpoint/computed_offsets.h"
#include "mlc/container/crc32.h"
#include "mlc/container/zip_writer.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mlc {
namespace {

constexpr uint64_t kBlock = 4096;  // reflinks and page cache copies work in these
// The page cache takes a long copy faster where it begins in the first page of a large folio.
constexpr uint64_t kFolio = 64 * 1024;
constexpr uint64_t kLongRun = 8 * 1024 * 1024;
// Short copies are quick wherever they begin: storages need to be aligned, no more.
constexpr uint64_t kShortRun = 64 * 1024;
constexpr uint64_t kStorageAlignment = 64;

/// To which multiple a copied run of so many bytes keeps its place.
uint64_t alignment_of_run(uint64_t length) {
  if (length < kShortRun) return kStorageAlignment;
  return length < kLongRun ? kBlock : kFolio;
}
constexpr std::string_view kPickle = "data.pkl";
constexpr std::string_view kMetadata = "mlc/metadata.yaml";
constexpr std::string_view kExtraMetadata = "extra/mlc/metadata.yaml";
constexpr std::string_view kFormatVersion = ".format_version";
// A hash of names and CRCs that no reader looks at; it would be wrong after an edit.
constexpr std::string_view kSerializationId = ".data/serialization_id";

/// The records that do not outlive EDIT. Found as PyTorch finds them, whatever their case.
class DroppedRecords {
 public:
  DroppedRecords(const ZipReader& zip, const ZipEdit& edit)
      : records_{zip.record(kSerializationId)} {
    if (edit.pickle) records_[1] = zip.record(kPickle);
    if (!edit.metadata_yaml && !edit.drop_metadata) return;
    records_[2] = zip.record(kMetadata);
    records_[3] = zip.record(kExtraMetadata);
  }
  bool contains(const ZipEntry& entry) const {
    return std::ranges::find(records_, &entry) != records_.end();
  }

 private:
  std::array<const ZipEntry*, 4> records_;
};

std::vector<const ZipEntry*> kept_by_offset(const ZipReader& zip, const ZipEdit& edit) {
  const DroppedRecords gone(zip, edit);
  std::vector<const ZipEntry*> kept;
  for (const ZipEntry& entry : zip.entries()) {
    if (!gone.contains(entry)) kept.push_back(&entry);
  }
  std::sort(kept.begin(), kept.end(), [](const ZipEntry* a, const ZipEntry* b) {
    return a->header_offset < b->header_offset;
  });
  return kept;
}

/// Where the bytes of ENTRY end, its data descriptor included.
Result<uint64_t> end_of(const ZipReader& zip, const ZipEntry& entry) {
  MLC_TRY(const uint64_t data, zip.data_offset(entry));
  const uint64_t end = data + entry.compressed_size;
  const bool descriptor = (entry.flags & kZipFlagDescriptor) != 0;
  // The descriptor's size depends on its writer; the next record or the directory is the limit.
  uint64_t limit = zip.central_directory_offset();
  for (const ZipEntry& other : zip.entries()) {
    if (other.header_offset >= end) limit = std::min(limit, other.header_offset);
  }
  return descriptor ? std::min(limit, end + zip_data_descriptor_size(entry)) : end;
}

/// Neighbouring kept records, copied as one run of bytes.
struct Run {
  size_t first = 0;  // indices into the kept entries
  size_t last = 0;
};

/// Kept records form one run while no dropped record lies between them.
std::vector<Run> runs_of(const ZipReader& zip, const std::vector<const ZipEntry*>& kept,
                         const ZipEdit& edit, const ZipEntry* moved) {
  const DroppedRecords gone(zip, edit);
  std::vector<uint64_t> dropped;
  for (const ZipEntry& entry : zip.entries()) {
    if (gone.contains(entry) || &entry == moved) dropped.push_back(entry.header_offset);
  }
  std::sort(dropped.begin(), dropped.end());
  std::vector<Run> runs;
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto between =
        i == 0 ? dropped.end()
               : std::upper_bound(dropped.begin(), dropped.end(), kept[i - 1]->header_offset);
    const bool broken = i == 0 || (between != dropped.end() && *between < kept[i]->header_offset);
    if (broken) runs.push_back({i, i});
    runs.back().last = i;
  }
  return runs;
}

/// A file of PyTorch begins with a record: that is how torch.load knows it. Where EDIT writes none
/// and drops the one at the start, the smallest of KEPT is taken out of it to be written first.
const ZipEntry* take_leader(const ZipEdit& edit, std::vector<const ZipEntry*>& kept) {
  if (edit.pickle || kept.empty() || kept.front()->header_offset == 0) return nullptr;
  const auto smallest = std::ranges::min_element(kept, {}, &ZipEntry::compressed_size);
  const ZipEntry* leader = *smallest;
  kept.erase(smallest);
  return leader;
}

/// The entry of .format_version where what it promises would not hold after EDIT with records moved
/// by SHIFT: it has to go. Null where it may stay or is not there.
template <class Shift>
const ZipEntry* broken_promise(const Checkpoint& checkpoint, const ZipEdit& edit, Shift shift) {
  const ZipEntry* mark = checkpoint.archives[0].record(kFormatVersion);
  if (mark == nullptr || checkpoint.format != Format::torch_zip) return nullptr;
  const auto pickle =
      edit.pickle ? std::optional<Bytes>(as_bytes(*edit.pickle)) : std::optional<Bytes>();
  return computed_offsets_hold(checkpoint, pickle, shift) ? nullptr : mark;
}

/// Where metadata goes: among the extra files in archives that have such.
std::string_view metadata_record(Format format) {
  return format == Format::torch_zip ? kMetadata : kExtraMetadata;
}

/// A record built in memory for appending at OFFSET.
void append_record(std::string& out, std::string& central, std::string_view name,
                   std::string_view data, uint64_t offset) {
  ZipEntry entry;
  entry.name = name;
  entry.header_offset = offset + out.size();
  entry.size = entry.compressed_size = data.size();
  entry.crc32 = crc32(as_bytes(data));
  entry.flags = kZipFlagUtf8 | (data.empty() ? uint16_t{0} : kZipFlagDescriptor);
  out += zip_local_header(entry);
  out += data;
  out += zip_data_descriptor(entry);
  append_zip_central_entry(central, entry);
}

/// The three pieces that an edit in place appends.
struct Appendix {
  std::string records;
  std::string central;
  uint64_t entries = 0;
  uint64_t tail_offset = 0;
};

Appendix make_appendix(const Checkpoint& checkpoint, const ZipEdit& edit, uint64_t end) {
  const ZipReader& zip = checkpoint.archives[0];
  Appendix out;
  const std::string root = std::string(zip.root()) + "/";
  if (edit.pickle) {
    append_record(out.records, out.central, root + std::string(kPickle), *edit.pickle, end);
    ++out.entries;
  }
  const ZipEntry* broken = broken_promise(checkpoint, edit, [](size_t) { return int64_t{0}; });
  // torch takes the root folder from the first entry of the directory; any record will do.
  for (const ZipEntry* entry : kept_by_offset(zip, edit)) {
    if (entry == broken) continue;
    append_zip_central_entry(out.central, *entry);
    ++out.entries;
  }
  if (edit.metadata_yaml) {
    append_record(out.records, out.central, root + std::string(metadata_record(checkpoint.format)),
                  *edit.metadata_yaml, end);
    ++out.entries;
  }
  // The tail is overwritten in one go: it must not straddle a block. The directory has to end where
  // the tail begins (Python's zipfile wants that), so the padding goes before the directory.
  const uint64_t tail = end + out.records.size() + out.central.size();
  const uint64_t in_block = tail % kBlock;
  if (in_block + kZipTailSize > kBlock) out.records.append(kBlock - in_block, '\0');
  out.tail_offset = end + out.records.size() + out.central.size();
  return out;
}

}  // namespace

bool is_rewritable_zip(const Checkpoint& checkpoint) {
  return checkpoint.format == Format::torch_zip && checkpoint.archives.size() == 1 &&
         has_place_for_metadata(checkpoint);
}

bool has_place_for_metadata(const Checkpoint& checkpoint) {
  const Format format = checkpoint.format;
  const bool is_zip =
      format == Format::torch_zip || format == Format::torchscript || format == Format::pt2;
  if (!is_zip || checkpoint.archives.empty()) return false;
  const ZipReader& zip = checkpoint.archives[0];
  return zip.window().offset == 0 && zip.window().length == zip.file().size();
}

Status rewrite_zip(const Checkpoint& checkpoint, const ZipEdit& edit, OutputFile& out) {
  const ZipReader& zip = checkpoint.archives[0];
  ZipWriter writer(out, std::string(zip.root()));
  if (edit.pickle) MLC_CHECK(writer.add(kPickle, as_bytes(*edit.pickle)));
  std::vector<const ZipEntry*> kept = kept_by_offset(zip, edit);
  const ZipEntry* leader = take_leader(edit, kept);
  if (leader != nullptr) {
    MLC_CHECK(writer.copy_record(zip.relative_name(*leader), zip, *leader));
  }
  std::vector<int64_t> deltas(zip.entries().size());  // by the number of the entry
  const auto number = [&zip](const ZipEntry* entry) {
    return static_cast<size_t>(entry - zip.entries().data());
  };
  for (const Run& run : runs_of(zip, kept, edit, leader)) {
    const uint64_t begin = kept[run.first]->header_offset;
    MLC_TRY(const uint64_t end, end_of(zip, *kept[run.last]));
    const uint64_t alignment = alignment_of_run(end - begin);
    MLC_CHECK(writer.pad(begin % std::min(alignment, kBlock), alignment));
    const auto delta = static_cast<int64_t>(out.position()) - static_cast<int64_t>(begin);
    MLC_CHECK(out.copy_from(zip.file(), begin, end - begin));
    for (size_t i = run.first; i <= run.last; ++i) deltas[number(kept[i])] = delta;
  }
  const ZipEntry* broken =
      broken_promise(checkpoint, edit, [&deltas](size_t entry) { return deltas[entry]; });
  for (const ZipEntry* entry : kept) {
    if (entry != broken) MLC_CHECK(writer.keep(*entry, deltas[number(entry)]));
  }
  if (edit.metadata_yaml) {
    const std::string_view name = metadata_record(checkpoint.format);
    MLC_CHECK(writer.add(name, as_bytes(*edit.metadata_yaml)));
  }
  return writer.finish();
}

Status edit_zip_in_place(const Checkpoint& checkpoint, const ZipEdit& edit, bool allow_links) {
  const ZipReader& zip = checkpoint.archives[0];
  const uint64_t end = zip.file().size();
  const Appendix appendix = make_appendix(checkpoint, edit, end);
  const std::string old_tail = zip_tail({.entries = zip.entries().size(),
                                         .directory_offset = zip.central_directory_offset(),
                                         .directory_size = zip.central_directory_size(),
                                         .offset = appendix.tail_offset});
  const uint64_t directory = end + appendix.records.size();
  const std::string new_tail = zip_tail({.entries = appendix.entries,
                                         .directory_offset = directory,
                                         .directory_size = appendix.central.size(),
                                         .offset = appendix.tail_offset});
  MLC_TRY(InPlaceFile file, InPlaceFile::open(zip.file(), allow_links));
  const auto append = [&]() -> Status {
    // 1. A tail at the new end that points at the old directory: still the old content.
    MLC_CHECK(file.write_at(appendix.tail_offset, as_bytes(old_tail)));
    MLC_CHECK(file.sync());
    // 2. The new records and directory in the hole before it: still the old content.
    MLC_CHECK(file.write_at(end, as_bytes(appendix.records)));
    MLC_CHECK(file.write_at(directory, as_bytes(appendix.central)));
    MLC_CHECK(file.sync());
    // 3. One write of 98 bytes within a block: the new content.
    MLC_CHECK(file.write_at(appendix.tail_offset, as_bytes(new_tail)));
    return file.sync();
  };
  Status status = append();
  if (!status.ok() && !file.truncate(end).ok()) {
    return std::move(status).error().with_hint("the file is valid but has grown");
  }
  return status;
}

}  // namespace mlc
