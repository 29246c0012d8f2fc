#include "mlc/container/zip_size.h"

namespace mlc {

void ZipSize::add(std::string_view name, const ZipEntry& entry) {
  const std::string full = root_.empty() ? std::string(name) : root_ + "/" + std::string(name);
  ZipEntry record = entry;
  record.name = full;
  record.header_offset = position_;
  record.flags = record.size > 0 ? kZipFlagUtf8 | kZipFlagDescriptor : kZipFlagUtf8;
  position_ +=
      zip_local_header(record).size() + record.compressed_size + zip_data_descriptor_size(record);
  append_zip_central_entry(central_, record);
}

}  // namespace mlc
