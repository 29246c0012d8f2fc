#include "mlc/container/zip_format.h"

#include "mlc/base/bytes.h"
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/container/zip_layout.h"

#include <algorithm>
#include <array>

namespace mlc {

using namespace zip_layout;

namespace {

constexpr uint16_t kZip64FieldId = 0x0001;
constexpr uint16_t kDeflateNeeds = 20;  // "version needed"; miniz writes 0 for stored records
constexpr uint16_t kZip64Needs = 45;
constexpr uint16_t kMadeBy = 0x031E;  // Unix, 3.0: only in the zip64 end record

bool wide_size(const ZipEntry& e) {
  return e.size >= kZip64Threshold;
}
bool wide_offset(const ZipEntry& e) {
  return e.header_offset >= kZip64Threshold;
}
bool is_wide(const ZipEntry& e) {
  return wide_size(e) || wide_offset(e);
}

uint32_t narrow(uint64_t value) {
  return static_cast<uint32_t>(std::min(value, kZip64Threshold));
}

// Classes of bytes in names, as bits: anything but 0 needs a closer look.
constexpr uint8_t kForbidden = 1, kHigh = 2, kDot = 4, kColon = 8;

constexpr std::array<uint8_t, 256> make_name_bytes() {
  std::array<uint8_t, 256> table{};
  for (size_t c = 0; c < 256; ++c) {
    if (c < 0x20 || c == 0x7F || c == '\\') table[c] = kForbidden;
    if (c >= 0x80) table[c] = kHigh;
  }
  table['.'] = kDot;
  table[':'] = kColon;
  return table;
}
constexpr std::array<uint8_t, 256> kNameBytes = make_name_bytes();

bool has_parent_step(std::string_view name) {
  return name == ".." || name.starts_with("../") || name.ends_with("/..") ||
         name.find("/../") != std::string_view::npos;
}

void append_zip64_field(std::string& out, const ZipEntry& e, uint64_t compressed_size) {
  append_le<uint16_t>(out, kZip64FieldId);
  append_le<uint16_t>(out,
                      static_cast<uint16_t>((wide_size(e) ? 16 : 0) + (wide_offset(e) ? 8 : 0)));
  if (wide_size(e)) {
    append_le<uint64_t>(out, e.size);
    append_le<uint64_t>(out, compressed_size);
  }
  if (wide_offset(e)) append_le<uint64_t>(out, e.header_offset);
}

uint16_t version_needed(const ZipEntry& e) {
  return e.is_stored() ? 0 : kDeflateNeeds;
}

}  // namespace

namespace {

/// PyTorch names the root folder after the file, and files may have newlines in their names.
bool is_odd_root_only(std::string_view name) {
  const size_t root = std::min(name.find('/'), name.size());
  const auto forbidden = [](char c) {
    return (kNameBytes[static_cast<uint8_t>(c)] & kForbidden) != 0;
  };
  const auto never = [](char c) { return c == '\0' || c == '\\'; };
  return std::none_of(name.begin() + root, name.end(), forbidden) &&
         std::none_of(name.begin(), name.begin() + root, never) && root < name.size();
}

}  // namespace

std::string_view zip_name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kZipMaxName) return "is longer than 4,096 bytes";
  if (name.front() == '/') return "begins with a slash";
  unsigned seen = 0;
  for (const char c : name) seen |= kNameBytes[static_cast<uint8_t>(c)];
  if (seen == 0) return {};
  if ((seen & kForbidden) != 0 && !is_odd_root_only(name)) {
    return name.find('\\') != std::string_view::npos ? "contains a backslash"
                                                     : "contains a control byte";
  }
  if ((seen & kDot) != 0 && has_parent_step(name)) return "contains \"..\"";
  if ((seen & kColon) != 0 && name.size() >= 2 && name[1] == ':') return "begins with a drive";
  if ((seen & kHigh) != 0 && !is_utf8(name)) return "is not UTF-8";
  return {};
}

std::string zip_local_header(const ZipEntry& entry, DataPlacement placement) {
  std::string out;
  append_le<uint32_t>(out, kLocalSignature);
  append_le<uint16_t>(out, version_needed(entry));
  append_le<uint16_t>(out, entry.flags);
  append_le<uint16_t>(out, entry.method);
  out.append(20, '\0');  // time, date, CRC, sizes, lengths of name and extra fields
  out += entry.name;
  const size_t extra_begin = out.size();
  // The compressed size is 0 even here: miniz writes the field before it has written the data.
  if (is_wide(entry)) append_zip64_field(out, entry, 0);
  const uint64_t begin = entry.header_offset + out.size() + 4;
  const uint64_t padding = padding_to(
      begin + placement.modulus - placement.residue % placement.modulus, placement.modulus);
  out += "FB";
  append_le<uint16_t>(out, static_cast<uint16_t>(padding));
  out.append(static_cast<size_t>(padding), 'Z');
  store_le(out.data() + 26, static_cast<uint16_t>(entry.name.size()));
  store_le(out.data() + 28, static_cast<uint16_t>(out.size() - extra_begin));
  return out;
}

uint64_t zip_data_descriptor_size(const ZipEntry& entry) {
  if (entry.size == 0) return 0;
  return is_wide(entry) ? 24 : 16;
}

std::string zip_data_descriptor(const ZipEntry& entry) {
  std::string out;
  if (entry.size == 0) return out;
  append_le<uint32_t>(out, kDescriptorSignature);
  append_le<uint32_t>(out, entry.crc32);
  if (is_wide(entry)) {
    append_le<uint64_t>(out, entry.compressed_size);
    append_le<uint64_t>(out, entry.size);
  } else {
    append_le<uint32_t>(out, static_cast<uint32_t>(entry.compressed_size));
    append_le<uint32_t>(out, static_cast<uint32_t>(entry.size));
  }
  return out;
}

void append_zip_central_entry(std::string& out, const ZipEntry& entry) {
  append_le<uint32_t>(out, kCentralSignature);
  append_le<uint16_t>(out, 0);  // made by
  append_le<uint16_t>(out, version_needed(entry));
  append_le<uint16_t>(out, entry.flags);
  append_le<uint16_t>(out, entry.method);
  append_le<uint32_t>(out, 0);  // time and date
  append_le<uint32_t>(out, entry.crc32);
  append_le<uint32_t>(out,
                      wide_size(entry) ? narrow(kZip64Threshold) : narrow(entry.compressed_size));
  append_le<uint32_t>(out, narrow(entry.size));
  append_le<uint16_t>(out, static_cast<uint16_t>(entry.name.size()));
  const size_t extra_length = out.size();
  append_le<uint16_t>(out, 0);
  out.append(10, '\0');  // comment length, disk, attributes
  append_le<uint32_t>(out, narrow(entry.header_offset));
  out += entry.name;
  const size_t extra_begin = out.size();
  if (is_wide(entry)) append_zip64_field(out, entry, entry.compressed_size);
  store_le(out.data() + extra_length, static_cast<uint16_t>(out.size() - extra_begin));
}

std::string zip_tail(const ZipTail& tail) {
  std::string out;
  append_le<uint32_t>(out, kZip64EndSignature);
  append_le<uint64_t>(out, 44);  // bytes of this record from here on
  append_le<uint16_t>(out, kMadeBy);
  append_le<uint16_t>(out, kZip64Needs);
  append_le<uint64_t>(out, 0);  // disks
  append_le<uint64_t>(out, tail.entries);
  append_le<uint64_t>(out, tail.entries);
  append_le<uint64_t>(out, tail.directory_size);
  append_le<uint64_t>(out, tail.directory_offset);

  append_le<uint32_t>(out, kZip64LocatorSignature);
  append_le<uint32_t>(out, 0);
  append_le<uint64_t>(out, tail.offset);
  append_le<uint32_t>(out, 1);  // disks

  const auto entries = static_cast<uint16_t>(std::min<uint64_t>(tail.entries, 0xFFFF));
  append_le<uint32_t>(out, kEndSignature);
  append_le<uint32_t>(out, 0);
  append_le<uint16_t>(out, entries);
  append_le<uint16_t>(out, entries);
  append_le<uint32_t>(out, narrow(tail.directory_size));
  append_le<uint32_t>(out, narrow(tail.directory_offset));
  append_le<uint16_t>(out, 0);
  return out;
}

}  // namespace mlc
