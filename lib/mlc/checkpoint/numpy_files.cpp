// NumPy's .npy files and their archives, .npz: each array becomes a tensor of the same name.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/container/crc32.h"
#include "mlc/tensor/byte_order.h"
#include "mlc/tensor/npy.h"

namespace mlc {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr uint64_t kMaxInflated = uint64_t{16} << 30U;

/// Adds the array that HEADER describes; PLACE is a storage that says where its data lie.
void add_array(Checkpoint& checkpoint, std::string_view name, const NpyHeader& header,
               Storage place) {
  place.key = checkpoint.keep(name);
  place.location = "cpu";
  place.dtype = header.dtype;
  place.big_endian = header.big_endian;
  place.elements = static_cast<int64_t>(header.data_bytes / element_bytes(header.dtype));
  checkpoint.storages.push_back(std::move(place));
  Tensor tensor;
  tensor.storage = static_cast<uint32_t>(checkpoint.storages.size() - 1);
  tensor.dtype = header.dtype;
  const uint32_t index = checkpoint.add_tensor(tensor, header.sizes, header.strides());
  const NodeId key =
      checkpoint.graph.add_borrowed(pickle::NodeKind::text, checkpoint.storages.back().key);
  checkpoint.graph.dict(checkpoint.root).emplace_back(key, checkpoint.tensors[index].node);
  if (!header.note.empty()) {
    checkpoint.warnings.push_back("array " + quoted(name) + ": " + header.note);
  }
}

/// The header at the start of BYTES, whose data must be there too.
Result<NpyHeader> whole_array(Checkpoint& checkpoint, Bytes bytes, std::string_view name) {
  MLC_TRY(NpyHeader header, parse_npy_header(bytes));
  if (!fits_within(header.data_offset, header.data_bytes, bytes.size())) {
    return corrupt("its shape needs " + std::to_string(header.data_bytes) + " bytes, " +
                       std::to_string(bytes.size() - header.data_offset) + " are there",
                   "the file is cut off; fetch it again");
  }
  const uint64_t behind = bytes.size() - header.data_offset - header.data_bytes;
  if (behind != 0) {
    checkpoint.warnings.push_back("array " + quoted(name) + " has " + plural(behind, "byte") +
                                  " behind its data");
  }
  return header;
}

/// The CRC-32 of the data behind HEADER, where WHOLE is that of both: a CRC of A and B is that of
/// A, moved on by the length of B, xor that of B.
uint32_t crc32_behind(uint32_t whole, Bytes bytes, const NpyHeader& header) {
  return whole ^ crc32_combine(crc32(bytes.first(header.data_offset)), 0, header.data_bytes);
}

Status read_entry(Checkpoint& checkpoint, const ZipEntry& entry, std::string_view name) {
  const ZipReader& zip = checkpoint.archives[0];
  Storage place;
  if (entry.is_stored()) {
    MLC_TRY(const Bytes bytes, zip.view(entry));
    MLC_TRY(const NpyHeader header, whole_array(checkpoint, bytes, name));
    MLC_TRY(const uint64_t offset, zip.data_offset(entry));
    place.file = 0;
    place.offset = offset + header.data_offset;
    if (entry.has_crc() && header.data_offset + header.data_bytes == bytes.size())
      place.crc32 = crc32_behind(entry.crc32, bytes, header);
    add_array(checkpoint, name, header, std::move(place));
    return {};
  }
  MLC_TRY(std::string bytes, zip.read(entry, kMaxInflated));
  MLC_TRY(NpyHeader header, whole_array(checkpoint, as_bytes(bytes), name));
  bytes.erase(0, static_cast<size_t>(header.data_offset));
  bytes.resize(static_cast<size_t>(header.data_bytes));
  if (header.big_endian) {
    swap_elements(std::as_writable_bytes(std::span(bytes)), header.dtype);
    header.big_endian = false;
  }
  place.own = held_bytes(std::move(bytes));
  add_array(checkpoint, name, header, std::move(place));
  return {};
}

}  // namespace

Status read_npz(Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  for (const std::string& warning : zip.warnings()) checkpoint.warnings.push_back(warning);
  checkpoint.origin.writer = "NumPy";
  checkpoint.root = checkpoint.graph.add_dict();
  Status first_left_out;
  for (const ZipEntry& entry : zip.entries()) {
    std::string_view name = entry.name;
    if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
    Status read = read_entry(checkpoint, entry, name);
    if (!read.ok() && read.error().kind() == ErrorKind::unsupported) {
      // np.savez takes anything: strings and pickled objects lie beside the arrays that are meant.
      checkpoint.warnings.push_back("array " + quoted(name) +
                                    " is left out: " + read.error().message());
      if (first_left_out.ok()) {
        first_left_out = std::move(read).error().during("array " + quoted(name));
      }
      continue;
    }
    if (!read.ok()) return std::move(read).error().during("array " + quoted(name));
  }
  return checkpoint.graph.dict(checkpoint.root).empty() ? std::move(first_left_out) : Status();
}

Status read_npy(Checkpoint& checkpoint) {
  MLC_TRY(const Bytes bytes, checkpoint.files[0]->map());
  std::string name = checkpoint.path.substr(checkpoint.path.rfind('/') + 1);
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  checkpoint.origin.writer = "NumPy";
  checkpoint.root = checkpoint.graph.add_dict();
  MLC_TRY(const NpyHeader header, whole_array(checkpoint, bytes, name));
  Storage place;
  place.file = 0;
  place.offset = header.data_offset;
  add_array(checkpoint, name, header, std::move(place));
  return {};
}

}  // namespace mlc
