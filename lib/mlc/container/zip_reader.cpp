#include "mlc/container/zip_reader.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/container/crc32.h"
#include "mlc/container/deflate.h"
#include "mlc/container/zip_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace mlc {

using namespace zip_layout;

namespace {

constexpr size_t kStreamPiece = size_t{1} << 20;

std::string hex(uint32_t crc) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[crc >> shift & 0xF];
  return out;
}

// "record \"archive/data/0\" (header at offset 512)"
std::string describe(const ZipEntry& entry) {
  return "record " + quoted(entry.name) + " (header at offset " +
         std::to_string(entry.header_offset) + ")";
}

Error crc_mismatch(const ZipEntry& entry, uint32_t actual) {
  return corrupt(describe(entry) + " is damaged: its bytes have CRC-32 " + hex(actual) +
                     ", the archive states " + hex(entry.crc32),
                 "fetch the file again");
}

Error interrupted() {
  return Error(ErrorKind::interrupted, "interrupted");
}

}  // namespace

Result<ZipReader> ZipReader::open(std::shared_ptr<const InputFile> file, ZipDialect dialect,
                                  const ZipLimits& limits) {
  const ByteWindow whole{0, file->size()};
  return open(std::move(file), whole, dialect, limits);
}

Result<ZipReader> ZipReader::open(std::shared_ptr<const InputFile> file, ByteWindow window,
                                  ZipDialect dialect, const ZipLimits& limits) {
  const std::string& path = file->path();
  if (!fits_within(window.offset, window.length, file->size())) {
    return corrupt("a zip archive of " + std::to_string(window.length) + " bytes at offset " +
                   std::to_string(window.offset) + " does not lie within the file")
        .in_file(path);
  }
  Result<ZipEnd> end = find_zip_end(*file, window, limits);
  if (!end) return std::move(end).error().in_file(path);
  Result<ZipDirectory> directory = read_zip_directory(*file, window, *end);
  if (!directory) return std::move(directory).error().in_file(path);

  ZipReader reader;
  reader.file_ = file;
  reader.window_ = window;
  reader.dialect_ = dialect;
  reader.entries_ = std::move(directory->entries);
  reader.names_ = std::move(directory->names);
  reader.directory_offset_ = window.offset + end->directory_offset;
  reader.directory_size_ = end->directory_size;
  reader.end_offset_ = window.offset + end->end_offset;
  reader.warnings_ = std::move(end->warnings);
  for (Status (ZipReader::*step)() :
       {&ZipReader::set_root, &ZipReader::index_names, &ZipReader::order_by_offset}) {
    if (Status status = (reader.*step)(); !status.ok()) {
      return std::move(status).error().in_file(path);
    }
  }
  return reader;
}

Status ZipReader::set_root() {
  if (dialect_ == ZipDialect::any) return {};
  if (entries_.empty()) return corrupt("the zip archive has no records");
  const std::string_view first = entries_.front().name;
  const size_t slash = first.find('/');
  if (slash == std::string_view::npos) {
    return corrupt("record " + quoted(first) +
                       " lies in no folder; a PyTorch archive has all its records in one",
                   "this is a zip file, but not one that torch.save wrote");
  }
  root_ = first.substr(0, slash);
  for (const ZipEntry& entry : entries_) {
    if (entry.name.size() > slash && entry.name[slash] == '/' && entry.name.starts_with(root_)) {
      continue;
    }
    return corrupt(describe(entry) + " lies outside the folder " + quoted(root_) +
                       " of this archive; PyTorch refuses that too",
                   "another program may have packed the file again: remove the entries that "
                   "are not under " +
                       quoted(root_));
  }
  return {};
}

Status ZipReader::index_names() {
  const bool fold_case = dialect_ == ZipDialect::torch;
  const auto duplicate = index_.build(entries_, fold_case);
  if (!duplicate) return {};
  const ZipEntry& a = entries_[duplicate->first];
  const ZipEntry& b = entries_[duplicate->second];
  if (a.name == b.name) {
    return corrupt("two records are called " + quoted(a.name) + " (headers at offsets " +
                   std::to_string(a.header_offset) + " and " + std::to_string(b.header_offset) +
                   "); which one a program reads is not defined");
  }
  return corrupt("records " + quoted(a.name) + " and " + quoted(b.name) +
                 " differ only in case, which PyTorch does not distinguish");
}

Status ZipReader::order_by_offset() {
  const auto less = [](const ZipEntry& a, const ZipEntry& b) {
    return a.header_offset < b.header_offset;
  };
  if (!std::is_sorted(entries_.begin(), entries_.end(), less)) {
    by_offset_.resize(entries_.size());
    std::iota(by_offset_.begin(), by_offset_.end(), 0U);
    std::stable_sort(by_offset_.begin(), by_offset_.end(),
                     [&](uint32_t a, uint32_t b) { return less(entries_[a], entries_[b]); });
  }
  // Adding up to `end` cannot overflow: every entry lies before the central directory.
  const ZipEntry* previous = nullptr;
  uint64_t end = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const ZipEntry& entry = by_offset_.empty() ? entries_[i] : entries_[by_offset_[i]];
    if (previous != nullptr && entry.header_offset < end) {
      return corrupt(describe(*previous) + " of " + std::to_string(previous->compressed_size) +
                     " bytes reaches into " + describe(entry));
    }
    end = entry.header_offset + kLocalSize + entry.name.size() + entry.compressed_size;
    previous = &entry;
  }
  return {};
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  return index_.find(entries_, name);
}

const ZipEntry* ZipReader::record(std::string_view relative) const {
  if (root_.empty()) return find(relative);
  std::array<char, kZipMaxName> whole;
  const size_t size = root_.size() + 1 + relative.size();
  if (relative.size() > whole.size() || size > whole.size()) return nullptr;
  std::memcpy(whole.data(), root_.data(), root_.size());
  whole[root_.size()] = '/';
  std::memcpy(whole.data() + root_.size() + 1, relative.data(), relative.size());
  return find(std::string_view(whole.data(), size));
}

std::string_view ZipReader::relative_name(const ZipEntry& entry) const {
  return root_.empty() ? entry.name : entry.name.substr(root_.size() + 1);
}

uint64_t ZipReader::next_boundary(const ZipEntry& entry) const {
  const uint64_t offset = entry.header_offset;
  if (by_offset_.empty()) {
    const auto next =
        std::upper_bound(entries_.begin(), entries_.end(), offset,
                         [](uint64_t value, const ZipEntry& e) { return value < e.header_offset; });
    return next == entries_.end() ? directory_offset_ : next->header_offset;
  }
  const auto next = std::upper_bound(
      by_offset_.begin(), by_offset_.end(), offset,
      [this](uint64_t value, uint32_t i) { return value < entries_[i].header_offset; });
  return next == by_offset_.end() ? directory_offset_ : entries_[*next].header_offset;
}

Result<uint64_t> ZipReader::data_offset(const ZipEntry& entry) const {
  const auto fail = [&](const std::string& problem) {
    return corrupt(describe(entry) + problem).in_file(file_->path());
  };
  // The range was checked against the central directory when the archive was opened.
  std::array<char, kLocalSize + kZipMaxName> buffer;
  const auto header = std::span(buffer).first(kLocalSize + entry.name.size());
  MLC_CHECK(file_->read_at(entry.header_offset, std::as_writable_bytes(header)));
  const char* p = header.data();
  if (load_le<uint32_t>(p) != kLocalSignature) return fail(" has no local header there");
  const std::string_view name(p + kLocalSize, entry.name.size());
  if (load_le<uint16_t>(p + 26) != entry.name.size() || name != entry.name) {
    return fail(" has another name in its local header");
  }
  if (load_le<uint16_t>(p + 8) != entry.method) {
    return fail(" is compressed with method " + std::to_string(entry.method) +
                " according to the central directory, but with method " +
                std::to_string(load_le<uint16_t>(p + 8)) + " according to its local header");
  }
  if ((load_le<uint16_t>(p + 6) & kRefusedFlags) != 0) {
    return fail(" is encrypted or a patch according to its local header");
  }
  const uint64_t begin = entry.header_offset + header.size() + load_le<uint16_t>(p + 28);
  if (!fits_within(begin, entry.compressed_size, next_boundary(entry))) {
    return fail(" of " + std::to_string(entry.compressed_size) +
                " bytes reaches into what follows it at offset " +
                std::to_string(next_boundary(entry)));
  }
  return begin;
}

Result<std::string> ZipReader::read_compressed(const ZipEntry& entry) const {
  MLC_TRY(const uint64_t offset, data_offset(entry));
  return file_->read_string(offset, entry.compressed_size);
}

Result<std::string> ZipReader::read(const ZipEntry& entry, uint64_t cap) const {
  if (entry.size > cap) {
    return corrupt(describe(entry) + " has " + format_bytes(entry.size) + "; at most " +
                   format_bytes(cap) + " are read here")
        .in_file(file_->path());
  }
  MLC_TRY(std::string content, read_compressed(entry));
  if (!entry.is_stored()) {
    Result<std::string> inflated = inflate_exact(as_bytes(content), entry.size);
    if (!inflated)
      return std::move(inflated).error().during(describe(entry)).in_file(file_->path());
    content = std::move(*inflated);
  }
  if (entry.has_crc()) {
    const uint32_t actual = crc32(as_bytes(content));
    if (actual != entry.crc32) return crc_mismatch(entry, actual).in_file(file_->path());
  }
  return content;
}

Result<Bytes> ZipReader::view(const ZipEntry& entry) const {
  if (!entry.is_stored()) {
    return unsupported(describe(entry) + " is compressed and cannot be mapped into memory")
        .in_file(file_->path());
  }
  MLC_TRY(const uint64_t offset, data_offset(entry));
  MLC_TRY(const Bytes all, file_->map());
  return all.subspan(static_cast<size_t>(offset), static_cast<size_t>(entry.size));
}

Result<uint32_t> ZipReader::stream_crc(const ZipEntry& entry, Reporter& reporter) const {
  MLC_TRY(uint64_t offset, data_offset(entry));
  std::string buffer(static_cast<size_t>(std::min<uint64_t>(entry.size, kStreamPiece)), '\0');
  uint32_t crc = 0;
  for (uint64_t left = entry.size; left > 0;) {
    if (reporter.interrupted()) return interrupted();
    const auto n = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    const auto piece = std::span(buffer).first(n);
    MLC_CHECK(file_->read_at(offset, std::as_writable_bytes(piece)));
    crc = crc32(std::as_bytes(piece), crc);
    offset += n;
    left -= n;
    reporter.advance(n);
  }
  return crc;
}

Status ZipReader::check(const ZipEntry& entry, Reporter& reporter) const {
  if (!entry.is_stored()) {
    if (reporter.interrupted()) return interrupted();
    MLC_CHECK(read(entry, entry.size));
    reporter.advance(entry.compressed_size);
    return {};
  }
  MLC_TRY(const uint32_t actual, stream_crc(entry, reporter));
  if (entry.has_crc() && actual != entry.crc32) {
    return crc_mismatch(entry, actual).in_file(file_->path());
  }
  return {};
}

}  // namespace mlc
