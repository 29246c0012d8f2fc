#include "mlc/container/zip_writer.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/container/crc32.h"
#include "mlc/container/deflate.h"

#include <algorithm>

namespace mlc {

ZipWriter::ZipWriter(OutputFile& out, std::string root, ZipWriterOptions options)
    : out_(out), root_(std::move(root)), options_(options) {}

Result<std::string> ZipWriter::full_name(std::string_view name) const {
  std::string full = root_.empty() ? std::string(name) : root_ + "/" + std::string(name);
  if (const std::string_view problem = zip_name_problem(full); !problem.empty()) {
    return usage_error("a record cannot be called " + quoted(full) + ": the name " +
                       std::string(problem));
  }
  return full;
}

Status ZipWriter::begin(ZipEntry& entry) {
  entry.header_offset = out_.position() - options_.start_offset;
  entry.flags = entry.size > 0 ? kZipFlagUtf8 | kZipFlagDescriptor : kZipFlagUtf8;
  return out_.write(zip_local_header(entry, {options_.alignment, 0}));
}

Status ZipWriter::end(const ZipEntry& entry) {
  MLC_CHECK(out_.write(zip_data_descriptor(entry)));
  list(entry);
  return {};
}

void ZipWriter::list(const ZipEntry& entry) {
  const std::lock_guard lock(mutex_);
  append_zip_central_entry(central_, entry);
  ++entries_;
}

Status ZipWriter::add(std::string_view name, Bytes data) {
  MLC_TRY(const std::string full, full_name(name));
  ZipEntry entry{.name = full, .compressed_size = data.size(), .size = data.size()};
  entry.crc32 = crc32(data);
  MLC_CHECK(begin(entry));
  MLC_CHECK(out_.write(data));
  return end(entry);
}

Status ZipWriter::add_copy(std::string_view name, const InputFile& input, uint64_t offset,
                           uint64_t length, uint32_t known_crc) {
  MLC_TRY(const std::string full, full_name(name));
  ZipEntry entry{.name = full, .compressed_size = length, .size = length, .crc32 = known_crc};
  MLC_CHECK(begin(entry));
  MLC_CHECK(out_.copy_from(input, offset, length));
  return end(entry);
}

Status ZipWriter::copy_record(std::string_view name, const ZipReader& source,
                              const ZipEntry& entry) {
  MLC_TRY(const std::string full, full_name(name));
  MLC_TRY(const uint64_t offset, source.data_offset(entry));
  ZipEntry copy = entry;
  copy.name = full;
  if (entry.size == 0) {  // an empty deflated stream becomes an empty stored record
    copy.method = kZipStored;
    copy.compressed_size = 0;
  }
  MLC_CHECK(begin(copy));
  MLC_CHECK(out_.copy_from(source.file(), offset, copy.compressed_size));
  return end(copy);
}

Status ZipWriter::add_deflated(std::string_view name, Bytes data, int level) {
  if (data.empty()) return add(name, data);
  MLC_TRY(const std::string compressed, deflate(data, level));
  if (compressed.size() >= data.size()) return add(name, data);
  return add_compressed(name, as_bytes(compressed), data.size(), crc32(data));
}

Status ZipWriter::add_compressed(std::string_view name, Bytes compressed, uint64_t size,
                                 uint32_t crc) {
  MLC_TRY(const std::string full, full_name(name));
  ZipEntry entry{.name = full,
                 .compressed_size = compressed.size(),
                 .size = size,
                 .crc32 = crc,
                 .method = kZipDeflated};
  MLC_CHECK(begin(entry));
  MLC_CHECK(out_.write(compressed));
  return end(entry);
}

Result<ZipWriter::Slot> ZipWriter::reserve(std::string_view name, uint64_t size) {
  MLC_TRY(const std::string full, full_name(name));
  ZipEntry entry{.name = full, .compressed_size = size, .size = size};
  MLC_CHECK(begin(entry));
  const Slot slot{.data_offset = out_.position(),
                  .size = size,
                  .header_offset = entry.header_offset,
                  .central_position = central_.size()};
  MLC_CHECK(out_.skip(size + zip_data_descriptor_size(entry)));
  list(entry);
  const std::lock_guard lock(mutex_);
  ++open_slots_;
  return slot;
}

Status ZipWriter::complete(const Slot& slot, uint32_t crc) {
  const ZipEntry entry{.name = {},
                       .header_offset = slot.header_offset,
                       .compressed_size = slot.size,
                       .size = slot.size,
                       .crc32 = crc};
  MLC_CHECK(out_.write_at(slot.data_offset + slot.size, as_bytes(zip_data_descriptor(entry))));
  const std::lock_guard lock(mutex_);
  store_le(central_.data() + slot.central_position + kZipCentralCrcOffset, crc);
  --open_slots_;
  return {};
}

Status ZipWriter::pad(uint64_t residue, uint64_t modulus) {
  const uint64_t position = out_.position() - options_.start_offset;
  return out_.write_zeros(padding_to(position + modulus - residue % modulus, modulus));
}

Status ZipWriter::keep(const ZipEntry& entry, int64_t delta) {
  ZipEntry moved = entry;
  moved.header_offset += static_cast<uint64_t>(delta);  // wraps around for negative ones
  list(moved);
  return {};
}

Status ZipWriter::finish() {
  const std::lock_guard lock(mutex_);
  if (open_slots_ > 0) return internal_error("a reserved zip record was never completed");
  const uint64_t offset = out_.position() - options_.start_offset;
  MLC_CHECK(out_.write(central_));
  return out_.write(zip_tail({.entries = entries_,
                              .directory_offset = offset,
                              .directory_size = central_.size(),
                              .offset = offset + central_.size()}));
}

}  // namespace mlc
