// Any JSON as the description of the weights of a .pt2 archive with one payload of 16 bytes.
#include "checkpoint_input.h"
#include "mlc/base/bytes.h"
#include "mlc/container/crc32.h"
#include "mlc/container/zip_format.h"

#include <deque>
#include <vector>

namespace {

class Archive {
 public:
  void add(const std::string& name, std::string_view content) {
    mlc::ZipEntry entry;
    entry.name = names_.emplace_back("m/" + name);
    entry.header_offset = bytes_.size();
    entry.size = entry.compressed_size = content.size();
    entry.crc32 = mlc::crc32(mlc::as_bytes(content));
    entry.flags = mlc::kZipFlagUtf8;
    bytes_ += mlc::zip_local_header(entry);
    bytes_ += content;
    entries_.push_back(entry);
  }

  std::string finish() {
    mlc::ZipTail tail;
    tail.entries = entries_.size();
    tail.directory_offset = bytes_.size();
    for (const mlc::ZipEntry& entry : entries_) mlc::append_zip_central_entry(bytes_, entry);
    tail.directory_size = bytes_.size() - tail.directory_offset;
    tail.offset = bytes_.size();
    return bytes_ + mlc::zip_tail(tail);
  }

 private:
  std::deque<std::string> names_;
  std::vector<mlc::ZipEntry> entries_;
  std::string bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Archive archive;
  archive.add("archive_format", "pt2");
  archive.add("models/model.json", "{}");
  archive.add("data/weights/weight_0", std::string(16, '\1'));
  archive.add("data/weights/empty", "");
  archive.add("data/weights/model_weights_config.json",
              {reinterpret_cast<const char*>(data), size});
  const std::string file = archive.finish();
  mlc::fuzz::open_and_read(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  return 0;
}
