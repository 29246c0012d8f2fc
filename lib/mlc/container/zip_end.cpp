#include "mlc/container/zip_end.h"

#include "mlc/base/bytes.h"
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/container/zip_format.h"
#include "mlc/container/zip_layout.h"

#include <algorithm>
#include <optional>
#include <span>

namespace mlc {

using namespace zip_layout;

namespace {

constexpr const char* kFetchAgain = "the file is damaged or was cut: fetch it again";
constexpr uint64_t kManyZeros = 1024;
constexpr uint64_t kMaxEntries = uint64_t{1} << 22;  // what ZipNameIndex can hold

std::string at(uint64_t offset) {
  return " at offset " + std::to_string(offset);
}

struct EndFields {
  uint64_t disk, directory_disk, disk_entries, entries, directory_size, directory_offset;
};

// The last bytes of the window and where they begin in it.
struct Tail {
  std::string bytes;
  uint64_t offset = 0;
  uint64_t window_size = 0;

  const char* at(uint64_t position) const { return bytes.data() + (position - offset); }
  bool holds(uint64_t position, uint64_t length) const {
    return position >= offset && fits_within(position - offset, length, bytes.size());
  }
  uint64_t comment_end(uint64_t record) const {
    return record + kEndSize + load_le<uint16_t>(at(record) + 20);
  }
};

Error no_end_record(const InputFile& file, ByteWindow window, const Tail& tail) {
  const std::string size = format_count(tail.window_size) + " bytes";
  const size_t last = tail.bytes.find_last_not_of('\0');
  const uint64_t zeros = tail.bytes.size() - (last == std::string::npos ? 0 : last + 1);
  if (zeros >= kManyZeros) {
    return corrupt("the zip archive has no end record; instead its " + size + " end with " +
                       (zeros == tail.bytes.size() ? "at least " : "") + format_count(zeros) +
                       " zeros: most likely a download that was broken off after its space was "
                       "reserved",
                   "fetch the file again");
  }
  char first[4] = {};
  if (tail.window_size >= sizeof first) {
    MLC_CHECK(file.read_at(window.offset, std::as_writable_bytes(std::span(first))));
  }
  if (load_le<uint32_t>(first) != kLocalSignature) {
    return corrupt("is not a zip archive: no end record in its last 64 KiB (" + size + ")");
  }
  return corrupt(
      "the zip archive has no end record: most likely a truncated download (" + size + " are here)",
      "fetch the file again, or compare its size with that of the original");
}

std::optional<uint64_t> find_last_end_record(const Tail& tail) {
  if (tail.bytes.size() < kEndSize) return std::nullopt;
  const std::string_view signature("PK\5\6", 4);
  const size_t found = tail.bytes.rfind(signature, tail.bytes.size() - kEndSize);
  if (found == std::string::npos) return std::nullopt;
  return tail.offset + found;
}

// Readers that believe the length of the comment, unlike miniz and Python, could take an earlier
// one.
void warn_of_other_end_records(const Tail& tail, uint64_t chosen,
                               std::vector<std::string>& warnings) {
  const std::string_view signature("PK\5\6", 4);
  for (size_t p = tail.bytes.find(signature); p != std::string::npos;
       p = tail.bytes.find(signature, p + 1)) {
    const uint64_t record = tail.offset + p;
    if (record >= chosen) return;
    if (tail.comment_end(record) != tail.window_size) continue;
    warnings.push_back(
        "two zip end records" + at(record) + " and" + at(chosen) +
        "; the last one counts, as in PyTorch, but other programs may show other content");
    return;
  }
}

EndFields end_fields(const char* p) {
  return {load_le<uint16_t>(p + 4),  load_le<uint16_t>(p + 6),  load_le<uint16_t>(p + 8),
          load_le<uint16_t>(p + 10), load_le<uint32_t>(p + 12), load_le<uint32_t>(p + 16)};
}

EndFields zip64_fields(const char* p) {
  return {load_le<uint32_t>(p + 16), load_le<uint32_t>(p + 20), load_le<uint64_t>(p + 24),
          load_le<uint64_t>(p + 32), load_le<uint64_t>(p + 40), load_le<uint64_t>(p + 48)};
}

// A 16- or 32-bit field either repeats the 64-bit one or says that it cannot.
bool agree(uint64_t small, uint64_t limit, uint64_t large) {
  return small == limit || small == large;
}

Status check_agreement(const EndFields& small, const EndFields& large) {
  if (agree(small.entries, 0xFFFF, large.entries) &&
      agree(small.disk_entries, 0xFFFF, large.disk_entries) &&
      agree(small.directory_size, kZip64Threshold, large.directory_size) &&
      agree(small.directory_offset, kZip64Threshold, large.directory_offset)) {
    return {};
  }
  return corrupt(
      "the zip end record and the zip64 end record disagree: " + std::to_string(small.entries) +
          " entries, directory of " + std::to_string(small.directory_size) + " bytes" +
          at(small.directory_offset) + " against " + std::to_string(large.entries) + " entries, " +
          std::to_string(large.directory_size) + " bytes" + at(large.directory_offset),
      kFetchAgain);
}

// Whether a transfer as text has put a carriage return in front of every line feed.
bool looks_like_text_transfer(const Tail& tail) {
  constexpr size_t kEnough = 8;  // of 65 KiB of anything else 256 are line feeds
  size_t feeds = 0;
  for (size_t p = tail.bytes.find('\n', 1); p != std::string::npos;
       p = tail.bytes.find('\n', p + 1)) {
    if (tail.bytes[p - 1] != '\r') return false;
    ++feeds;
  }
  return feeds >= kEnough;
}

// What to do about an archive in which something that should be at STATED is at FOUND.
std::string shift_hint(const Tail& tail, uint64_t stated, std::optional<uint64_t> found) {
  if (looks_like_text_transfer(tail)) {
    return "every line feed in its end follows a carriage return: the file was transferred as "
           "text; fetch it again as binary";
  }
  if (!found || *found == stated) return kFetchAgain;
  if (*found < stated) {
    return plural(stated - *found, "byte is", "bytes are") +
           " missing in front of it: the file is damaged or was cut; fetch it again";
  }
  return plural(*found - stated, "byte is", "bytes are") +
         " too many in front of it: something was put before or into the file; fetch it again";
}

// Where the last zip64 end record is that lies whole in front of LOCATOR.
std::optional<uint64_t> search_zip64_end(const Tail& tail, uint64_t locator) {
  if (locator < tail.offset + kZip64EndSize) return std::nullopt;
  const size_t last = static_cast<size_t>(locator - kZip64EndSize - tail.offset);
  const size_t found = tail.bytes.rfind(std::string_view("PK\6\6", 4), last);
  if (found == std::string::npos) return std::nullopt;
  return tail.offset + found;
}

struct Zip64End {
  EndFields fields;
  uint64_t offset;
};

// The zip64 end record that belongs to the end record at END, if the locator before it names one.
Result<std::optional<Zip64End>> read_zip64_end(const InputFile& file, ByteWindow window,
                                               const Tail& tail, uint64_t end) {
  if (end < kZip64LocatorSize) return std::optional<Zip64End>();
  const uint64_t locator = end - kZip64LocatorSize;
  std::string raw;
  if (tail.holds(locator, kZip64LocatorSize)) {
    raw.assign(tail.at(locator), kZip64LocatorSize);
  } else {
    MLC_TRY(raw, file.read_string(window.offset + locator, kZip64LocatorSize));
  }
  if (load_le<uint32_t>(raw.data()) != kZip64LocatorSignature) return std::optional<Zip64End>();
  if (load_le<uint32_t>(raw.data() + 4) > 1 || load_le<uint32_t>(raw.data() + 16) != 1) {
    return unsupported("the zip archive is spread over several files");
  }
  const auto offset = load_le<uint64_t>(raw.data() + 8);
  if (!fits_within(offset, kZip64EndSize, locator)) {
    return corrupt("the zip64 locator" + at(locator) + " points to" + at(offset).substr(3) +
                       ", which is not in front of it",
                   shift_hint(tail, offset, search_zip64_end(tail, locator)));
  }
  MLC_TRY(const std::string record, file.read_string(window.offset + offset, kZip64EndSize));
  if (load_le<uint32_t>(record.data()) != kZip64EndSignature) {
    return corrupt("there is no zip64 end record" + at(offset) + ", where its locator points",
                   shift_hint(tail, offset, search_zip64_end(tail, locator)));
  }
  const auto length = load_le<uint64_t>(record.data() + 4);
  if (length < kZip64EndSize - 12 || length > locator - offset - 12) {
    return corrupt("the zip64 end record" + at(offset) + " states an impossible size of " +
                       std::to_string(length) + " bytes",
                   kFetchAgain);
  }
  return std::optional<Zip64End>(Zip64End{zip64_fields(record.data()), offset});
}

// Where a central directory of SIZE bytes begins that ends at LIMIT.
std::optional<uint64_t> search_directory(const Tail& tail, uint64_t size, uint64_t limit) {
  if (size > limit || !tail.holds(limit - size, 4)) return std::nullopt;
  if (load_le<uint32_t>(tail.at(limit - size)) != kCentralSignature) return std::nullopt;
  return limit - size;
}

// LIMIT: offset of the first structure behind the central directory.
Status check_end(const EndFields& f, uint64_t limit, const ZipLimits& limits, const Tail& tail) {
  if (f.disk != f.directory_disk || f.disk > 1) {
    return unsupported("the zip archive is spread over several files");
  }
  if (f.disk_entries != f.entries) {
    return corrupt("the zip end record counts " + std::to_string(f.entries) + " entries, but " +
                   std::to_string(f.disk_entries) + " on this disk");
  }
  const uint64_t most = std::min(limits.entries, kMaxEntries);
  if (f.entries > most) {
    return corrupt("the zip archive states " + format_count(f.entries) + " entries; at most " +
                   format_count(most) + " are read");
  }
  if (f.directory_size > limits.central_directory) {
    return corrupt("the zip central directory states " + format_bytes(f.directory_size) +
                   "; at most " + format_bytes(limits.central_directory) + " are read");
  }
  if (!fits_within(f.directory_offset, f.directory_size, limit)) {
    return corrupt(
        "the zip central directory (" + std::to_string(f.directory_size) + " bytes" +
            at(f.directory_offset) + ") reaches into the end record" + at(limit),
        shift_hint(tail, f.directory_offset, search_directory(tail, f.directory_size, limit)));
  }
  if (f.entries * kCentralSize > f.directory_size) {
    return corrupt(format_count(f.entries) + " entries do not fit a zip central directory of " +
                   std::to_string(f.directory_size) + " bytes");
  }
  return {};
}

}  // namespace

Result<ZipEnd> find_zip_end(const InputFile& file, ByteWindow window, const ZipLimits& limits) {
  Tail tail;
  tail.window_size = window.length;
  const uint64_t length = std::min(window.length, kMaxComment + kEndSize);
  tail.offset = window.length - length;
  MLC_TRY(tail.bytes, file.read_string(window.offset + tail.offset, length));
  const std::optional<uint64_t> record = find_last_end_record(tail);
  if (!record) return no_end_record(file, window, tail);

  EndFields fields = end_fields(tail.at(*record));
  uint64_t limit = *record;
  MLC_TRY(const auto zip64, read_zip64_end(file, window, tail, *record));
  if (zip64) {
    MLC_CHECK(check_agreement(fields, zip64->fields));
    fields = zip64->fields;
    limit = zip64->offset;
  }
  MLC_CHECK(check_end(fields, limit, limits, tail));

  ZipEnd end;
  end.entries = fields.entries;
  end.directory_offset = fields.directory_offset;
  end.directory_size = fields.directory_size;
  end.end_offset = std::min(tail.comment_end(*record), window.length);
  warn_of_other_end_records(tail, *record, end.warnings);
  if (tail.comment_end(*record) > window.length) {
    end.warnings.push_back("the comment of the zip archive is cut off");
  } else if (end.end_offset < window.length) {
    end.warnings.push_back(plural(window.length - end.end_offset, "byte") +
                           " after the end of the zip archive");
  }
  if (const uint64_t hole = limit - end.directory_offset - end.directory_size; hole > 0) {
    end.warnings.push_back(plural(hole, "byte") +
                           " between the zip central directory and the end record: an edit in "
                           "place may have been interrupted");
  }
  return end;
}

}  // namespace mlc
