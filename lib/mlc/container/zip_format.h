// What the zip reader and the zip writer share: the entry, the rules for names, and the byte layout
// of every structure PyTorch's own writer (caffe2/serialize/inline_container.cc on miniz) puts into
// a file. The builders return the bytes, so that an in-place editor can place them itself.
//
// Layout of a record: local header (30 bytes), name, extra fields (zip64 where needed, then a field
// "FB" of Zs that aligns the data), data, and for non-empty records a data descriptor. Sizes and
// CRC in the local header stay 0; the truth is in the central directory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mlc {

constexpr uint16_t kZipStored = 0;
constexpr uint16_t kZipDeflated = 8;
constexpr uint16_t kZipFlagDescriptor = 0x0008;  // sizes and CRC follow the data
constexpr uint16_t kZipFlagUtf8 = 0x0800;
constexpr size_t kZipMaxName = 4096;
constexpr uint64_t kZipTailSize = 98;  // zip64 end record, its locator, end record
/// Sizes and offsets from here on need 64-bit fields; the value itself marks them in 32-bit ones.
constexpr uint64_t kZip64Threshold = 0xFFFFFFFF;

/// One record of an archive. NAME belongs to whoever made the entry.
struct ZipEntry {
  std::string_view name;         // whole, with the root folder: "archive/data/0"
  uint64_t header_offset = 0;    // of the local header; ZipReader: absolute in the file
  uint64_t compressed_size = 0;  // bytes in the file
  uint64_t size = 0;             // bytes after inflating; equal for stored records
  uint32_t crc32 = 0;            // of the inflated bytes
  uint16_t method = kZipStored;
  uint16_t flags = 0;

  bool is_folder() const { return name.ends_with('/'); }
  bool is_stored() const { return method == kZipStored; }
  /// PyTorch can be told not to compute CRCs and then writes 0.
  bool has_crc() const { return crc32 != 0 || size == 0; }
};

/// Why NAME must not be an entry's name ("contains a backslash"), or empty if it may: names are
/// UTF-8 of 1 to kZipMaxName bytes, relative, without "..", backslashes, control bytes and drives.
std::string_view zip_name_problem(std::string_view name);

/// Where data may begin: at offsets with offset % modulus == residue. PyTorch's own choice is the
/// default. A modulus of 4096 lets a reflink share the blocks of what follows.
struct DataPlacement {
  uint64_t modulus = 64;
  uint64_t residue = 0;
};

/// Local header, name and extra fields for ENTRY, which lies at ENTRY.header_offset, as PyTorch
/// writes them; the data follow directly. Requires: a name that may be, a modulus of 1 to 65,536 -
/// 64 (the padding must fit one extra field).
std::string zip_local_header(const ZipEntry& entry, DataPlacement placement = {});

/// What follows the data of ENTRY: 16 or 24 bytes, none after an empty record.
std::string zip_data_descriptor(const ZipEntry& entry);
uint64_t zip_data_descriptor_size(const ZipEntry& entry);

/// Appends the entry of the central directory. Its CRC lies kZipCentralCrcOffset bytes in.
void append_zip_central_entry(std::string& out, const ZipEntry& entry);
constexpr size_t kZipCentralCrcOffset = 16;

struct ZipTail {
  uint64_t entries = 0;
  uint64_t directory_offset = 0;
  uint64_t directory_size = 0;
  uint64_t offset =
      0;  // of the tail itself; directory_offset + directory_size unless a hole lies between
};
/// The kZipTailSize bytes that end an archive, always in zip64 form, as PyTorch writes them.
std::string zip_tail(const ZipTail& tail);

}  // namespace mlc
