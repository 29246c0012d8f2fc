#include "mlc/container/zip_directory.h"

#include "mlc/base/bytes.h"
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/container/zip_layout.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace mlc {

using namespace zip_layout;

namespace {

std::string at(uint64_t offset) {
  return " at offset " + std::to_string(offset);
}

// A piece of the central directory that moves forward through the file.
class DirectoryCursor {
 public:
  DirectoryCursor(const InputFile& file, uint64_t begin, uint64_t size)
      : file_(file), next_(begin), unread_(size) {}

  uint64_t remaining() const { return unread_ + (buffer_.size() - position_); }

  /// Makes LENGTH bytes readable at here(). Requires: LENGTH <= remaining().
  Status ensure(size_t length) {
    return length <= buffer_.size() - position_ ? Status() : refill(length);
  }
  const char* here() const { return buffer_.data() + position_; }
  void advance(size_t length) { position_ += length; }

 private:
  static constexpr size_t kPiece = size_t{1} << 18;  // the largest entry has 197 KiB

  Status refill(size_t length) {
    const size_t kept = buffer_.size() - position_;
    std::memmove(buffer_.data(), buffer_.data() + position_, kept);
    position_ = 0;
    const auto more =
        static_cast<size_t>(std::min<uint64_t>(std::max(kPiece, length) - kept, unread_));
    buffer_.resize(kept + more);
    const auto piece = std::span(buffer_).subspan(kept);
    MLC_CHECK(file_.read_at(next_, std::as_writable_bytes(piece)));
    next_ += more;
    unread_ -= more;
    return {};
  }

  const InputFile& file_;
  uint64_t next_;
  uint64_t unread_;
  std::string buffer_;
  size_t position_ = 0;
};

// Sizes and offset that do not fit 32 bits, from the extra field with id 1: those whose 32-bit
// value is 0xFFFFFFFF, in this order. Returns whether all of them are there.
bool read_zip64_values(std::string_view extra, ZipEntry& e) {
  ByteReader reader(as_bytes(extra));
  while (reader.remaining() >= 4) {
    const uint16_t id = *reader.read<uint16_t>();
    const auto field = reader.take(*reader.read<uint16_t>());
    if (!field) return false;
    if (id != 1) continue;
    ByteReader values(*field);
    for (uint64_t* value : {&e.size, &e.compressed_size, &e.header_offset}) {
      if (*value != kZip64Threshold) continue;
      const auto wide = values.read<uint64_t>();
      if (!wide) return false;
      *value = *wide;
    }
    return true;
  }
  return false;
}

struct FlagMeaning {
  uint16_t bits;
  std::string_view meaning;
};
constexpr FlagMeaning kFlagMeanings[] = {
    {0x0001, "is encrypted"},
    {0x0020, "is a patch"},
    {0x0040, "is strongly encrypted"},
    {0x2000, "has a masked header"},
};

// An empty deflate stream is 2 bytes; nothing that a program writes for no bytes is longer than
// this.
constexpr uint64_t kMaxEmptyStream = 16;

std::string_view size_problem(const ZipEntry& e) {
  if (e.is_stored() && e.compressed_size != e.size) return "is stored but its two sizes differ";
  if (e.size > 0 && e.compressed_size == 0) return "states a size but has no bytes in the file";
  if (e.size == 0 && e.compressed_size > kMaxEmptyStream) {
    return "is stated to be empty but has bytes in the file";
  }
  if (e.is_folder() && e.size > 0) return "is named as a folder but has content";
  return {};
}

Status check_entry(const ZipEntry& e, uint64_t index, uint64_t directory_offset) {
  const auto fail = [&](std::string_view problem) {
    return corrupt("zip entry " + std::to_string(index) + " (" + quoted(e.name) + ", header" +
                   at(e.header_offset) + ") " + std::string(problem));
  };
  if (const std::string_view problem = zip_name_problem(e.name); !problem.empty()) {
    return fail("has a name that " + std::string(problem));
  }
  for (const FlagMeaning& flag : kFlagMeanings) {
    if ((e.flags & flag.bits) == 0) continue;
    return unsupported("zip entry " + quoted(e.name) + " " + std::string(flag.meaning) +
                       ", which no PyTorch checkpoint is");
  }
  if (e.method != kZipStored && e.method != kZipDeflated) {
    return unsupported("zip entry " + quoted(e.name) + " is compressed with method " +
                       std::to_string(e.method) + "; only stored and deflated entries can be read");
  }
  if (const std::string_view problem = size_problem(e); !problem.empty()) return fail(problem);
  const uint64_t header = kLocalSize + e.name.size();
  if (!fits_within(e.header_offset, header, directory_offset) ||
      e.compressed_size > directory_offset - e.header_offset - header) {
    return fail("of " + std::to_string(e.compressed_size) +
                " bytes reaches into the central directory" + at(directory_offset));
  }
  return {};
}

ZipEntry fixed_fields(const char* p) {
  ZipEntry e;
  e.flags = load_le<uint16_t>(p + 8);
  e.method = load_le<uint16_t>(p + 10);
  e.crc32 = load_le<uint32_t>(p + 16);
  e.compressed_size = load_le<uint32_t>(p + 20);
  e.size = load_le<uint32_t>(p + 24);
  e.header_offset = load_le<uint32_t>(p + 42);
  return e;
}

bool needs_zip64(const ZipEntry& e) {
  return e.size == kZip64Threshold || e.compressed_size == kZip64Threshold ||
         e.header_offset == kZip64Threshold;
}

Error not_an_entry(uint64_t index, uint64_t offset, const ZipEnd& end) {
  std::string message =
      "there is no entry " + std::to_string(index) + " of the zip central directory" + at(offset);
  if (index == 0 && end.entries > 0) message += ", where the end record says it begins";
  if (index > 0) return corrupt(message, "the file is damaged: fetch it again");
  return corrupt(message,
                 "bytes that were put before or into the archive move everything in it; PyTorch "
                 "refuses such files too: fetch it again");
}

// The parts of an entry with variable lengths.
struct Lengths {
  size_t name, extra, whole;
};
Lengths lengths(const char* p) {
  const size_t name = load_le<uint16_t>(p + 28);
  const size_t extra = load_le<uint16_t>(p + 30);
  return {name, extra, kCentralSize + name + extra + load_le<uint16_t>(p + 32)};
}

// The entry at P, all of which is readable, its name copied to NAME.
Result<ZipEntry> parse_entry(const char* p, const Lengths& length, uint64_t index, char* name) {
  ZipEntry e = fixed_fields(p);
  std::memcpy(name, p + kCentralSize, length.name);
  e.name = std::string_view(name, length.name);
  if (load_le<uint16_t>(p + 34) > 1) {
    return unsupported("zip entry " + quoted(e.name) + " lies in another file of the archive");
  }
  const std::string_view extra(p + kCentralSize + length.name, length.extra);
  if (needs_zip64(e) && !read_zip64_values(extra, e)) {
    return corrupt("zip entry " + std::to_string(index) + " (" + quoted(e.name) +
                   ") lacks its 64-bit size or offset");
  }
  return e;
}

}  // namespace

Result<ZipDirectory> read_zip_directory(const InputFile& file, ByteWindow window,
                                        const ZipEnd& end) {
  ZipDirectory out;
  out.entries.reserve(static_cast<size_t>(end.entries));
  // Exact where entries have no extra fields and comments, as almost everywhere.
  const uint64_t name_bytes = end.directory_size - end.entries * kCentralSize;
  out.names = std::make_unique_for_overwrite<char[]>(static_cast<size_t>(name_bytes));
  char* name = out.names.get();
  const uint64_t begin = window.offset + end.directory_offset;
  DirectoryCursor cursor(file, begin, end.directory_size);
  for (uint64_t i = 0; i < end.entries; ++i) {
    const uint64_t offset = begin + (end.directory_size - cursor.remaining());
    // Room for the fixed fields of the entries to come is spoken for, which also keeps the names
    // within their memory. find_zip_end() has made sure of it for the start.
    const uint64_t room = cursor.remaining() - (end.entries - i - 1) * kCentralSize;
    MLC_CHECK(cursor.ensure(kCentralSize));
    if (load_le<uint32_t>(cursor.here()) != kCentralSignature) return not_an_entry(i, offset, end);
    const Lengths length = lengths(cursor.here());
    if (length.whole > room) {
      return corrupt("entry " + std::to_string(i) + " of the zip central directory" + at(offset) +
                     " leaves no room for those after it or reaches beyond its end");
    }
    MLC_CHECK(cursor.ensure(length.whole));
    MLC_TRY(ZipEntry e, parse_entry(cursor.here(), length, i, name));
    MLC_CHECK(check_entry(e, i, end.directory_offset));
    e.header_offset += window.offset;
    out.entries.push_back(e);
    name += length.name;
    cursor.advance(length.whole);
  }
  if (cursor.remaining() > 0) {
    return corrupt("the zip central directory goes on for " + std::to_string(cursor.remaining()) +
                   " bytes after the " + format_count(end.entries) + " entries it should have");
  }
  return out;
}

}  // namespace mlc
