#include "mlc/checkpoint/write_torch_zip.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/lower_tensors.h"
#include "mlc/checkpoint/planned_size.h"
#include "mlc/checkpoint/zip_records.h"
#include "mlc/container/crc32.h"
#include "mlc/container/deflate.h"
#include "mlc/container/zip_size.h"
#include "mlc/container/zip_writer.h"
#include "mlc/pickle/writer.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

// Smaller storages are written one after the other through the output's buffer; handing each to a
// thread would cost more than its copy.
constexpr uint64_t kSmallStorage = 64U << 10U;
// The level from which on weights of which 80 % are zero take less than 30 % of their size.
constexpr int kDeflateLevel = 6;

constexpr std::string_view kFormatVersion = "1";
constexpr std::string_view kAlignment = "64";
constexpr std::string_view kByteOrder = "little";
constexpr std::string_view kVersion = "3\n";
constexpr std::string_view kWriter = "mlc\n";
constexpr std::string_view kMetadataRecord = "mlc/metadata.yaml";

/// As JSON; empty where there is nothing but the "format" that every safetensors file has.
std::string string_metadata(const Checkpoint& checkpoint) {
  const auto text = [](const std::string& value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  std::string json;
  for (const auto& [key, value] : checkpoint.string_metadata) {
    if (key == "format" && value == "pt") continue;
    json.append(json.empty() ? "{" : ",").append(text(key)).append(":").append(text(value));
  }
  return json.empty() ? json : json + "}";
}

class TorchZipWriter {
 public:
  TorchZipWriter(const Checkpoint& checkpoint, OutputFile& out, const TorchZipOptions& options,
                 Reporter& reporter)
      : checkpoint_(checkpoint),
        out_(out),
        zip_(out, options.root_folder),
        options_(options),
        reporter_(reporter) {}

  Status run(const std::string& pickle_bytes, const std::vector<uint32_t>& storages) {
    MLC_CHECK(zip_.add("data.pkl", as_bytes(pickle_bytes)));
    MLC_CHECK(zip_.add(".format_version", as_bytes(kFormatVersion)));
    MLC_CHECK(zip_.add(".storage_alignment", as_bytes(kAlignment)));
    MLC_CHECK(zip_.add("byteorder", as_bytes(kByteOrder)));
    std::vector<std::pair<std::string, uint32_t>> deflated;
    for (size_t i = 0; i < storages.size(); ++i) {
      std::string name = "data/" + std::to_string(i);
      if (std::ranges::find(options_.deflated, storages[i]) != options_.deflated.end()) {
        deflated.emplace_back(std::move(name), storages[i]);
      } else {
        MLC_CHECK(add_storage(name, storages[i]));
      }
    }
    MLC_CHECK(add_deflated(deflated));
    MLC_CHECK(zip_.add("version", as_bytes(kVersion)));
    MLC_CHECK(zip_.add(kWriterRecord, as_bytes(kWriter)));
    if (options_.extra_records) MLC_CHECK(copy_extra_records());
    if (options_.metadata_yaml) {
      MLC_CHECK(zip_.add(kMetadataRecord, as_bytes(*options_.metadata_yaml)));
    }
    if (const std::string strings = string_metadata(checkpoint_); !strings.empty()) {
      MLC_CHECK(zip_.add(kStringMetadataRecord, as_bytes(strings)));
    }
    MLC_CHECK(copy_tensors(checkpoint_, out_, std::move(jobs_), options_.threads, reporter_));
    return zip_.finish();
  }
  uint64_t deflated() const { return deflated_; }

 private:
  Status copy_extra_records() {
    if (checkpoint_.extra_records.empty()) return {};
    const ZipReader& archive = checkpoint_.archives[0];
    for (const uint32_t index : checkpoint_.extra_records) {
      const ZipEntry& entry = archive.entries()[index];
      MLC_CHECK(archive.check(entry, null_reporter()));
      MLC_CHECK(zip_.copy_record(archive.relative_name(entry), archive, entry));
    }
    return {};
  }

  /// Deflates on all threads; each waits for its turn to write, so that the order is that of
  /// RECORDS and no more than one record a thread is held.
  Status add_deflated(const std::vector<std::pair<std::string, uint32_t>>& records) {
    std::mutex mutex;
    std::condition_variable written;
    size_t next = 0;
    bool failed = false;
    return parallel_for(records.size(), options_.threads, [&](size_t i) {
      auto packed = deflate_storage(records[i].second);
      std::unique_lock lock(mutex);
      written.wait(lock, [&] { return next == i || failed; });
      Status status;
      if (!packed.ok()) {
        status = std::move(packed).error();
      } else if (!failed) {
        status = add_packed(records[i].first, *packed);
      }
      failed = failed || !status.ok();
      next = i + 1;
      written.notify_all();
      return status;
    });
  }

  struct Packed {
    std::string bytes;
    bool is_deflated = false;
    uint64_t size = 0;
    uint32_t crc = 0;
  };

  Result<Packed> deflate_storage(uint32_t index) const {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    std::string bytes;
    bytes.reserve(checkpoint_.storages[index].byte_size());
    if (checkpoint_.storages[index].producer() == nullptr) {
      MLC_CHECK(check_storage(checkpoint_, index));
    }
    MLC_CHECK(checkpoint_.stream_storage(index, [&bytes](Bytes block) {
      bytes.append(as_text(block));
      return Status();
    }));
    Packed out;
    out.size = bytes.size();
    out.crc = crc32(as_bytes(bytes));
    MLC_TRY(out.bytes, deflate(as_bytes(bytes), kDeflateLevel));
    out.is_deflated = out.bytes.size() < bytes.size();
    if (!out.is_deflated) out.bytes = std::move(bytes);
    reporter_.advance(out.size);
    return out;
  }

  Status add_packed(const std::string& name, const Packed& packed) {
    if (!packed.is_deflated) return zip_.add(name, as_bytes(packed.bytes));
    ++deflated_;
    return zip_.add_compressed(name, as_bytes(packed.bytes), packed.size, packed.crc);
  }

  Status add_storage(const std::string& name, uint32_t index) {
    const uint64_t size = checkpoint_.storages[index].byte_size();
    if (size <= kSmallStorage) return add_small(name, index);
    MLC_TRY(const ZipWriter::Slot slot, zip_.reserve(name, size));
    jobs_.push_back({slot.data_offset, index, kNoIndex,
                     [this, slot](uint32_t crc) { return zip_.complete(slot, crc); }});
    return {};
  }

  Status add_small(const std::string& name, uint32_t index) {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const Storage& storage = checkpoint_.storages[index];
    if (storage.producer() != nullptr) {
      std::string bytes;
      MLC_CHECK(checkpoint_.stream_storage(index, [&bytes](Bytes block) {
        bytes.append(as_text(block));
        return Status();
      }));
      return zip_.add(name, as_bytes(bytes));
    }
    MLC_CHECK(check_storage(checkpoint_, index));
    MLC_TRY(const Bytes bytes, checkpoint_.storage_bytes(index));
    reporter_.advance(bytes.size());
    return zip_.add(name, bytes);
  }

  const Checkpoint& checkpoint_;
  OutputFile& out_;
  ZipWriter zip_;
  const TorchZipOptions& options_;
  Reporter& reporter_;
  std::vector<CopyJob> jobs_;
  uint64_t deflated_ = 0;
};

}  // namespace

std::string root_folder_for(const std::string& path) {
  const size_t slash = path.find_last_of("/\\");
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos) name.resize(dot);
  const bool ascii =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c < 127; });
  return name.empty() || !ascii ? "archive" : name;
}

Result<uint64_t> torch_zip_size(Checkpoint& checkpoint, const TorchZipOptions& options) {
  MLC_TRY(const std::vector<uint32_t> storages, lower_tensors(checkpoint));
  MLC_TRY(const std::string pickle_bytes, pickle::write(checkpoint.graph, checkpoint.root));
  // The records of TorchZipWriter::run(), in its order.
  ZipSize zip(options.root_folder);
  zip.add("data.pkl", pickle_bytes.size());
  zip.add(".format_version", kFormatVersion.size());
  zip.add(".storage_alignment", kAlignment.size());
  zip.add("byteorder", kByteOrder.size());
  for (size_t i = 0; i < storages.size(); ++i) {
    zip.add("data/" + std::to_string(i), checkpoint.storages[storages[i]].byte_size());
  }
  zip.add("version", kVersion.size());
  zip.add(kWriterRecord, kWriter.size());
  for (const uint32_t index : checkpoint.extra_records) {
    const ZipReader& archive = checkpoint.archives[0];
    const ZipEntry& entry = archive.entries()[index];
    zip.add(archive.relative_name(entry), entry);
  }
  if (options.metadata_yaml) zip.add(kMetadataRecord, options.metadata_yaml->size());
  if (const std::string strings = string_metadata(checkpoint); !strings.empty()) {
    zip.add(kStringMetadataRecord, strings.size());
  }
  return zip.total();
}

Result<WriteSummary> write_torch_zip(Checkpoint& checkpoint, OutputFile& out,
                                     const TorchZipOptions& options, Reporter& reporter) {
  MLC_TRY(const std::vector<uint32_t> storages, lower_tensors(checkpoint));
  MLC_TRY(const std::string pickle_bytes, pickle::write(checkpoint.graph, checkpoint.root));
  WriteSummary summary;
  summary.storages = storages.size();
  for (const uint32_t storage : storages) summary.bytes += checkpoint.storages[storage].byte_size();
  const ProgressScope progress(reporter, "writing " + out.path(), summary.bytes);
  TorchZipWriter writer(checkpoint, out, options, reporter);
  MLC_CHECK(writer.run(pickle_bytes, storages));
  summary.deflated = writer.deflated();
  return summary;
}

}  // namespace mlc
