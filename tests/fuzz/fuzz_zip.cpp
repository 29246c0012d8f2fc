// libFuzzer target: any bytes as a zip archive, in both dialects. Every record is read and checked;
// a crash, a sanitizer report or a record of another size than listed is a finding.
#include "mlc/container/zip_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr uint64_t kCap = uint64_t{1} << 20;

void read_everything(const std::shared_ptr<const mlc::InputFile>& file, mlc::ZipDialect dialect) {
  const auto reader = mlc::ZipReader::open(file, dialect);
  if (!reader.ok()) return;
  for (const mlc::ZipEntry& entry : reader->entries()) {
    if (reader->find(entry.name) != &entry) std::abort();
    const auto content = reader->read(entry, kCap);
    if (content.ok() && content->size() != entry.size) std::abort();
    if (entry.size > kCap) continue;
    const bool checked = reader->check(entry, mlc::null_reporter()).ok();
    if (checked != content.ok()) std::abort();
    const auto view = reader->view(entry);
    if (content.ok() && entry.is_stored() &&
        (!view.ok() || mlc::as_text(*view) != std::string_view(*content))) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0) return 0;
  if (::write(fd, data, size) == static_cast<ssize_t>(size)) {
    const auto file = mlc::InputFile::open("/proc/self/fd/" + std::to_string(fd));
    if (file.ok()) {
      read_everything(*file, mlc::ZipDialect::torch);
      read_everything(*file, mlc::ZipDialect::any);
    }
  }
  ::close(fd);
  return 0;
}
