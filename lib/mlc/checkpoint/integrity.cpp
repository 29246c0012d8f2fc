#include "mlc/checkpoint/integrity.h"

#include "mlc/base/parallel.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/container/crc32.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>

namespace mlc {
namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20U;
constexpr uint64_t kBatch = uint64_t{1} << 20U;  // small records are checked in groups of this size

constexpr size_t kBlock = size_t{256} << 10U;

/// A record, or a piece of a large stored one.
struct Piece {
  const ZipReader* archive = nullptr;
  const ZipEntry* entry = nullptr;
  uint64_t begin = 0;
  uint64_t length = 0;
  uint32_t crc = 0;
};

/// The CRC of what a stored record has at PIECE. Read instead of mapped: page faults of several
/// threads wait for each other, and for an engine that is being opened meanwhile.
Result<uint32_t> stored_crc(const Piece& piece) {
  MLC_TRY(const uint64_t offset, piece.archive->data_offset(*piece.entry));
  const auto size = static_cast<size_t>(std::min<uint64_t>(kBlock, piece.length));
  const auto block = std::make_unique_for_overwrite<std::byte[]>(size);
  uint32_t crc = 0;
  for (uint64_t done = 0; done < piece.length;) {
    const uint64_t length = std::min<uint64_t>(size, piece.length - done);
    const std::span bytes(block.get(), static_cast<size_t>(length));
    MLC_CHECK(piece.archive->file().read_at(offset + piece.begin + done, bytes));
    crc = crc32(bytes, crc);
    done += length;
  }
  return crc;
}

class Check {
 public:
  Check(const Checkpoint& checkpoint, Reporter& reporter)
      : checkpoint_(checkpoint), reporter_(reporter) {}

  Result<IntegrityReport> run(unsigned threads) {
    report_.has_checksums = !checkpoint_.archives.empty();
    plan();
    const ProgressScope progress(reporter_, "checking " + checkpoint_.path, report_.bytes);
    MLC_CHECK(parallel_for(groups_.size() - 1, threads, [this](size_t group) -> Status {
      if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
      for (size_t i = groups_[group]; i < groups_[group + 1]; ++i) check(pieces_[i]);
      return {};
    }));
    compare_pieces();
    std::sort(report_.damaged.begin(), report_.damaged.end(),
              [](const DamagedRecord& a, const DamagedRecord& b) {
                return std::tie(a.file, a.header_offset, a.record) <
                       std::tie(b.file, b.header_offset, b.record);
              });
    return std::move(report_);
  }

 private:
  void plan();
  void check(Piece& piece);
  void compare_pieces();
  void add_damage(const Piece& piece, std::string problem);

  const Checkpoint& checkpoint_;
  Reporter& reporter_;
  IntegrityReport report_;
  std::vector<Piece> pieces_;
  std::vector<size_t> groups_ = {0};  // pieces [groups_[i], groups_[i + 1]) are one unit of work
  std::mutex mutex_;
};

void Check::plan() {
  uint64_t in_group = 0;
  for (const ZipReader& archive : checkpoint_.archives) {
    for (const ZipEntry& entry : archive.entries()) {
      if (entry.is_folder()) continue;
      if (!entry.has_crc()) {
        ++report_.without_crc;
        continue;
      }
      ++report_.records;
      report_.bytes += entry.compressed_size;
      const uint64_t step = entry.is_stored() ? kPiece : UINT64_MAX;
      uint64_t begin = 0;
      do {
        const uint64_t length = std::min(step, entry.compressed_size - begin);
        pieces_.push_back({&archive, &entry, begin, length, 0});
        begin += length;
        in_group += length + 256;
        if (in_group >= kBatch) {
          groups_.push_back(pieces_.size());
          in_group = 0;
        }
      } while (begin < entry.compressed_size);
    }
  }
  if (groups_.back() != pieces_.size()) groups_.push_back(pieces_.size());
}

void Check::add_damage(const Piece& piece, std::string problem) {
  const auto offset = piece.archive->data_offset(*piece.entry);
  const auto entries = piece.archive->entries();
  const auto archive = std::ranges::find_if(
      checkpoint_.archives, [&](const ZipReader& one) { return &one == piece.archive; });
  const std::lock_guard lock(mutex_);
  report_.damaged.push_back(
      {piece.archive->file().path(), std::string(piece.entry->name), piece.entry->header_offset,
       offset.ok() ? std::optional(*offset) : std::nullopt, std::move(problem),
       static_cast<uint32_t>(archive - checkpoint_.archives.begin()),
       static_cast<uint32_t>(piece.entry - entries.data())});
}

void Check::check(Piece& piece) {
  if (!piece.entry->is_stored()) {
    Status status = piece.archive->check(*piece.entry, null_reporter());
    if (!status.ok()) add_damage(piece, status.error().message());
  } else {
    auto crc = stored_crc(piece);
    if (!crc.ok()) {
      if (piece.begin == 0) add_damage(piece, crc.error().message());
      piece.entry = nullptr;
      return;
    }
    piece.crc = *crc;
  }
  reporter_.advance(piece.length);
}

/// Joins the CRCs of the pieces of one record, which stand next to each other.
void Check::compare_pieces() {
  for (size_t i = 0; i < pieces_.size();) {
    const Piece& first = pieces_[i];
    uint32_t crc = first.crc;
    size_t next = i + 1;
    for (; next < pieces_.size() && pieces_[next].entry == first.entry && pieces_[next].begin > 0;
         ++next) {
      crc = crc32_combine(crc, pieces_[next].crc, pieces_[next].length);
    }
    i = next;
    if (first.entry == nullptr || !first.entry->is_stored() || crc == first.entry->crc32) continue;
    char text[64];
    std::snprintf(text, sizeof text, "CRC-32 is %08x, recorded is %08x", crc, first.entry->crc32);
    add_damage(first, text);
  }
}

}  // namespace

Result<IntegrityReport> check_integrity(const Checkpoint& checkpoint, unsigned threads,
                                        Reporter& reporter) {
  return Check(checkpoint, reporter).run(threads);
}

namespace {

/// The storages of TENSOR and of what it is rebuilt from, as they lie in files.
std::vector<uint32_t> storages_of(const Checkpoint& checkpoint, const Tensor& tensor) {
  std::vector<uint32_t> storages;
  if (tensor.storage != kNoIndex) {
    const Storage& storage = checkpoint.storages[tensor.storage];
    if (storage.own != nullptr) storages = storage.own->parts;
    if (storages.empty()) storages.push_back(tensor.storage);
  }
  const StoredParts parts = stored_parts(checkpoint, tensor);
  for (const uint32_t part : parts.tensors) storages.push_back(checkpoint.tensors[part].storage);
  storages.insert(storages.end(), parts.storages.begin(), parts.storages.end());
  return storages;
}

/// Whether only zeros lie in what ARCHIVE's file has from BEGIN to END, as far as padding goes.
bool is_padding(const ZipReader& archive, uint64_t begin, uint64_t end) {
  constexpr uint64_t kMost = 64 * 1024;  // what rewrite_zip() aligns to
  const auto bytes = archive.file().read_string(begin, std::min(end - begin, kMost));
  return bytes.ok() && bytes->find_first_not_of('\0') == std::string::npos;
}

}  // namespace

uint64_t dead_bytes(const Checkpoint& checkpoint) {
  constexpr uint64_t kLocalHeader = 30;
  constexpr uint64_t kDescriptor = 24;  // behind the data, where the writer did not know the size
  constexpr uint64_t kPadding = 128;    // in front of the data, and zip64's sizes
  uint64_t dead = 0;
  for (const ZipReader& archive : checkpoint.archives) {
    std::vector<const ZipEntry*> records;
    for (const ZipEntry& entry : archive.entries()) records.push_back(&entry);
    if (!std::ranges::is_sorted(records, {}, &ZipEntry::header_offset)) {
      std::ranges::sort(records, {}, &ZipEntry::header_offset);
    }
    for (size_t i = 0; i < records.size(); ++i) {
      const ZipEntry& entry = *records[i];
      const uint64_t next = i + 1 < records.size() ? records[i + 1]->header_offset
                                                   : archive.central_directory_offset();
      const uint64_t least = entry.header_offset + kLocalHeader + entry.name.size() +
                             entry.compressed_size + kDescriptor + kPadding;
      if (next <= least) continue;
      const auto data = archive.data_offset(entry);
      const uint64_t end = data.ok() ? *data + entry.compressed_size + kDescriptor : next;
      if (next > end && !is_padding(archive, end, next)) dead += next - end;
    }
  }
  return dead;
}

/// The record that has the bytes of STORAGE, or null. Arrays of an .npz lie behind a header in
/// theirs, or were inflated out of it.
const ZipEntry* record_of(const Checkpoint& checkpoint, const Storage& storage) {
  if (storage.archive != kNoIndex)
    return &checkpoint.archives[storage.archive].entries()[storage.entry];
  if (checkpoint.format != Format::npz) return nullptr;
  const ZipReader& zip = checkpoint.archives[0];
  const ZipEntry* array = zip.find(std::string(storage.key) + ".npy");
  return array != nullptr ? array : zip.find(storage.key);
}

bool has_checksum(const Checkpoint& checkpoint, const Tensor& tensor) {
  const std::vector<uint32_t> storages = storages_of(checkpoint, tensor);
  return std::ranges::all_of(storages, [&checkpoint](uint32_t index) {
    const ZipEntry* record = record_of(checkpoint, checkpoint.storages[index]);
    return record != nullptr && record->has_crc();
  });
}

std::vector<std::string> tensors_in(const Checkpoint& checkpoint, const DamagedRecord& record,
                                    const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& named : tensors) {
    const std::vector<uint32_t> storages =
        storages_of(checkpoint, checkpoint.tensors[named.tensor]);
    const bool inside = std::ranges::any_of(storages, [&](uint32_t index) {
      const ZipEntry* holds = record_of(checkpoint, checkpoint.storages[index]);
      return holds != nullptr && record.archive < checkpoint.archives.size() &&
             holds == &checkpoint.archives[record.archive].entries()[record.entry];
    });
    if (inside) names.push_back(named.path);
  }
  return names;
}

}  // namespace mlc
