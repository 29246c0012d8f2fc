#include "mlc/checkpoint/copy_tensors.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/container/crc32.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <span>

namespace mlc {
namespace {

constexpr uint64_t kPiece = uint64_t{4} << 20U;
constexpr size_t kPage = 4096;
constexpr size_t kFolio = size_t{64} << 10U;
constexpr size_t kStep = size_t{256} << 10U;

Error interrupted() {
  return Error(ErrorKind::interrupted, "interrupted");
}

Error damaged(const Checkpoint& checkpoint, uint32_t storage, uint32_t found, uint32_t recorded) {
  const Storage& what = checkpoint.storages[storage];
  std::string name = quoted(what.key);
  if (what.archive != kNoIndex) {
    name = quoted(checkpoint.archives[what.archive].entries()[what.entry].name);
  }
  char text[64];
  std::snprintf(text, sizeof text, "%08x instead of %08x", found, recorded);
  return corrupt("record " + name + " is damaged: its CRC-32 is " + text,
                 "fetch or save the file again; `mlc load --check crc` lists every damaged record");
}

/// A storage that is copied, or made, in pieces by several threads; the last one to finish compares
/// the CRC.
struct PiecedCopy {
  uint32_t storage = 0;
  uint64_t size = 0;
  uint64_t piece_bytes = kPiece;
  uint64_t destination = 0;
  const PieceProducer* made = nullptr;  // null: copied from a file
  std::optional<uint32_t> recorded_crc;
  const InputFile* file = nullptr;
  uint64_t file_offset = 0;
  std::vector<uint32_t> crcs;
  std::atomic<size_t> left{0};
  std::function<Status(uint32_t)> done;
};

/// One unit of work for a thread: a piece of a PiecedCopy, or a job that is streamed as a whole.
struct Unit {
  std::shared_ptr<PiecedCopy> copy;
  size_t piece = 0;
  size_t job = 0;
};

class Copier {
 public:
  Copier(const Checkpoint& checkpoint, OutputFile& out, std::vector<CopyJob> jobs,
         Reporter& reporter)
      : checkpoint_(checkpoint), out_(out), jobs_(std::move(jobs)), reporter_(reporter) {}

  Status run(unsigned threads) {
    MLC_CHECK(plan());
    return parallel_for(units_.size(), threads, [this](size_t i) {
      if (reporter_.interrupted()) return Status(interrupted());
      return units_[i].copy != nullptr ? run_piece(units_[i]) : run_stream(jobs_[units_[i].job]);
    });
  }

 private:
  Status plan();
  void add_pieces(size_t job, uint32_t storage, const Checkpoint::FileRange& range);
  void add_made(size_t job, uint32_t storage);
  void add_units(const std::shared_ptr<PiecedCopy>& copy, size_t job);
  Status run_piece(const Unit& unit);
  Status run_stream(const CopyJob& job);

  const Checkpoint& checkpoint_;
  OutputFile& out_;
  std::vector<CopyJob> jobs_;
  Reporter& reporter_;
  std::vector<Unit> units_;
};

Status Copier::plan() {
  std::set<uint32_t> verified;  // storages of which only parts are copied
  for (size_t i = 0; i < jobs_.size(); ++i) {
    uint32_t storage = jobs_[i].storage;
    if (storage == kNoIndex) {
      const Tensor& tensor = checkpoint_.tensors[jobs_[i].tensor];
      if (covers_storage(checkpoint_, tensor)) {
        storage = tensor.storage;
      } else if (tensor.storage != kNoIndex && verified.insert(tensor.storage).second) {
        MLC_CHECK(check_storage(checkpoint_, tensor.storage));
      }
    }
    std::optional<Checkpoint::FileRange> range;
    if (storage != kNoIndex) {
      MLC_TRY(range, checkpoint_.file_range(storage));
    }
    if (range) {
      add_pieces(i, storage, *range);
    } else if (storage != kNoIndex && checkpoint_.storages[storage].pieces() != nullptr) {
      add_made(i, storage);
    } else {
      units_.push_back({nullptr, 0, i});
    }
  }
  return {};
}

void Copier::add_pieces(size_t job, uint32_t storage, const Checkpoint::FileRange& range) {
  auto copy = std::make_shared<PiecedCopy>();
  copy->storage = storage;
  copy->size = range.length;
  copy->destination = jobs_[job].destination;
  copy->recorded_crc = range.crc32;
  copy->file = range.file;
  copy->file_offset = range.offset;
  add_units(copy, job);
}

void Copier::add_made(size_t job, uint32_t storage) {
  auto copy = std::make_shared<PiecedCopy>();
  copy->storage = storage;
  copy->size = checkpoint_.storages[storage].byte_size();
  copy->destination = jobs_[job].destination;
  copy->made = checkpoint_.storages[storage].pieces();
  copy->piece_bytes = copy->made->piece_bytes;
  add_units(copy, job);
}

void Copier::add_units(const std::shared_ptr<PiecedCopy>& copy, size_t job) {
  copy->done = jobs_[job].done;
  const uint64_t pieces =
      std::max<uint64_t>(1, copy->size / copy->piece_bytes + (copy->size % copy->piece_bytes != 0));
  copy->crcs.resize(pieces);
  copy->left = pieces;
  for (size_t piece = 0; piece < pieces; ++piece) units_.push_back({copy, piece, job});
}

/// Copies LENGTH bytes of IN from OFFSET to DESTINATION in OUT and returns their CRC. They go
/// through a buffer that stays in the processor's cache and in which they lie at the same place
/// within a page as in OUT: the kernel's copy into the page cache is several times slower when
/// source and target are misaligned to each other. Reading is cheaper here than faulting a mapping
/// in.
Result<uint32_t> copy_range(const InputFile& in, uint64_t offset, uint64_t length, OutputFile& out,
                            uint64_t destination) {
  struct alignas(kPage) Buffer {
    std::array<std::byte, kStep> bytes;
  };
  thread_local const auto buffer = std::make_unique<Buffer>();
  uint32_t crc = 0;
  while (length > 0) {
    // Steps end where a large folio of the page cache does.
    const size_t count =
        static_cast<size_t>(std::min<uint64_t>(length, kStep - destination % kFolio));
    const auto step = std::span(buffer->bytes).subspan(destination % kPage, count);
    MLC_CHECK(in.read_at(offset, step));
    crc = crc32(step, crc);
    MLC_CHECK(out.write_at(destination, step));
    offset += count;
    destination += count;
    length -= count;
  }
  return crc;
}

/// Makes LENGTH bytes from AT on, writes them and returns their CRC.
Result<uint32_t> make_piece(const PiecedCopy& copy, uint64_t at, uint64_t length, OutputFile& out) {
  thread_local std::vector<std::byte> buffer;
  buffer.resize(static_cast<size_t>(length));
  MLC_CHECK(copy.made->make(at, buffer));
  MLC_CHECK(out.write_at(copy.destination + at, buffer));
  return crc32(buffer);
}

Status Copier::run_piece(const Unit& unit) {
  PiecedCopy& copy = *unit.copy;
  const uint64_t at = unit.piece * copy.piece_bytes;
  const uint64_t length = std::min(copy.piece_bytes, copy.size - at);
  auto crc_of_piece = copy.made != nullptr ? make_piece(copy, at, length, out_)
                                           : copy_range(*copy.file, copy.file_offset + at, length,
                                                        out_, copy.destination + at);
  MLC_TRY(copy.crcs[unit.piece], std::move(crc_of_piece));
  reporter_.advance(length);
  if (--copy.left > 0) return {};

  uint32_t crc = copy.crcs[0];
  for (size_t i = 1; i < copy.crcs.size(); ++i) {
    const uint64_t length_of = std::min(copy.piece_bytes, copy.size - i * copy.piece_bytes);
    crc = crc32_combine(crc, copy.crcs[i], length_of);
  }
  if (copy.recorded_crc && *copy.recorded_crc != crc) {
    return damaged(checkpoint_, copy.storage, crc, *copy.recorded_crc).in_file(copy.file->path());
  }
  return copy.done ? copy.done(crc) : Status();
}

Status Copier::run_stream(const CopyJob& job) {
  uint64_t at = job.destination;
  uint32_t crc = 0;
  const auto sink = [&](Bytes block) -> Status {
    if (reporter_.interrupted()) return interrupted();
    crc = crc32(block, crc);
    MLC_CHECK(out_.write_at(at, block));
    at += block.size();
    reporter_.advance(block.size());
    return {};
  };
  if (job.storage != kNoIndex) {
    MLC_CHECK(checkpoint_.stream_storage(job.storage, sink));
  } else {
    MLC_CHECK(stream_tensor(checkpoint_, job.tensor, sink));
  }
  return job.done ? job.done(crc) : Status();
}

}  // namespace

bool covers_storage(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (tensor.storage == kNoIndex || tensor.conjugated || tensor.negated || tensor.offset != 0) {
    return false;
  }
  return checkpoint.byte_size(tensor) == checkpoint.storages[tensor.storage].byte_size() &&
         is_contiguous(checkpoint.sizes(tensor), checkpoint.strides(tensor));
}

Status check_storage(const Checkpoint& checkpoint, uint32_t index) {
  const Storage& storage = checkpoint.storages[index];
  if (storage.file != kNoIndex && storage.crc32) {
    const InputFile& file = *checkpoint.files[storage.file];
    MLC_TRY(const Bytes whole, file.map());
    const uint32_t found = crc32(whole.subspan(storage.offset, storage.byte_size()));
    if (found == *storage.crc32) return {};
    return damaged(checkpoint, index, found, *storage.crc32).in_file(file.path());
  }
  MLC_TRY(const auto range, checkpoint.file_range(index));
  if (!range) return {};  // inflating has compared the CRC
  if (!range->crc32) return {};
  MLC_TRY(const Bytes bytes, checkpoint.storage_bytes(index));
  const uint32_t crc = crc32(bytes);
  if (crc == *range->crc32) return {};
  return damaged(checkpoint, index, crc, *range->crc32).in_file(range->file->path());
}

namespace {

bool uses_storage(const Checkpoint& checkpoint, const Tensor& tensor, uint32_t storage) {
  if (tensor.storage == storage) return true;
  const auto parts = stored_parts(checkpoint, tensor).storages;
  return std::ranges::find(parts, storage) != parts.end();
}

/// The names of those TENSORS that use the storage, for people.
std::vector<std::string> names_of_storage(const Checkpoint& checkpoint,
                                          const std::vector<NamedTensor>& tensors,
                                          uint32_t storage) {
  std::vector<std::string> names;
  std::set<std::string_view> seen;  // parts of a tensor have its name too
  for (const NamedTensor& named : tensors) {
    if (!uses_storage(checkpoint, checkpoint.tensors[named.tensor], storage)) continue;
    if (!seen.insert(named.path).second) continue;
    names.push_back(named.path.empty() ? "." : sentence_key(named.path));
  }
  return names;
}

/// CHECK of every storage of TENSORS that USES names, each once.
Status for_each_storage(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                        unsigned threads, bool (*uses)(const Storage&),
                        Status (*check)(const Checkpoint&, uint32_t)) {
  std::set<uint32_t> used;
  const auto take = [&](uint32_t index) {
    if (uses(checkpoint.storages[index])) used.insert(index);
  };
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (tensor.storage != kNoIndex) take(tensor.storage);
    for (const uint32_t index : stored_parts(checkpoint, tensor).storages) take(index);
  }
  const std::vector<uint32_t> storages(used.begin(), used.end());
  return parallel_for(storages.size(), threads, [&](size_t i) -> Status {
    Status sound = check(checkpoint, storages[i]);
    if (sound.ok()) return sound;
    const std::vector<std::string> names = names_of_storage(checkpoint, tensors, storages[i]);
    return std::move(sound).error().during((names.size() == 1 ? "tensor " : "tensors ") +
                                           join_list(names, 3));
  });
}

bool has_crc(const Storage& storage) {
  return storage.archive != kNoIndex || storage.crc32.has_value();
}

}  // namespace

Status check_storages(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                      unsigned threads) {
  return for_each_storage(checkpoint, tensors, threads, has_crc, check_storage);
}

Status rehearse_storages(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                         unsigned threads) {
  const auto is_read = [](const Storage& storage) {
    return has_crc(storage) || storage.producer() != nullptr;
  };
  const auto read = [](const Checkpoint& of, uint32_t index) {
    if (of.storages[index].producer() == nullptr) return check_storage(of, index);
    return of.stream_storage(index, [](Bytes) { return Status(); });
  };
  return for_each_storage(checkpoint, tensors, threads, is_read, read);
}

Status copy_tensors(const Checkpoint& checkpoint, OutputFile& out, std::vector<CopyJob> jobs,
                    unsigned threads, Reporter& reporter) {
  MLC_CHECK(out.flush());
  return Copier(checkpoint, out, std::move(jobs), reporter).run(threads);
}

}  // namespace mlc
