// The judge of the writer is PyTorch's own: the same records must give the same bytes.
#include "mlc/container/zip_writer.h"

#include "catch.h"
#include "mlc/container/crc32.h"
#include "mlc/container/deflate.h"
#include "mlc/container/zip_size.h"
#include "scratch_file.h"
#include "torch_archives.h"

#include <cstdlib>

using namespace mlc;
using namespace mlc::test;

namespace {

ZipReader open_state_dict() {
  auto reader = ZipReader::open(file_of(torch_state_dict()), ZipDialect::torch);
  REQUIRE(reader.ok());
  return std::move(reader).value();
}

void require(const Status& status) {
  if (!status.ok()) FAIL(status.error().text());
}

OutputFile create(const std::string& path) {
  auto out = OutputFile::create(path, {});
  REQUIRE(out.ok());
  return std::move(out).value();
}

std::string content(const std::string& path) {
  const auto file = InputFile::open(path);
  REQUIRE(file.ok());
  const auto bytes = (*file)->read_string(0, (*file)->size());
  REQUIRE(bytes.ok());
  return *bytes;
}

// Every record of PyTorch's archive, written by ADD(writer, relative name, entry).
template <class Add>
std::string rewrite(const ZipReader& source, Add add) {
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, std::string(source.root()));
  for (const ZipEntry& entry : source.entries()) add(zip, source.relative_name(entry), entry);
  require(zip.finish());
  require(out.publish());
  return content(folder / "out.pt");
}

}  // namespace

TEST_CASE("the size of an archive is known before it is written") {
  const ZipReader source = open_state_dict();
  ZipSize size{std::string(source.root())};
  const std::string zeros(5000, '\0');
  const std::string out = rewrite(source, [&](ZipWriter& zip, auto name, const ZipEntry& entry) {
    require(zip.copy_record(name, source, entry));
    size.add(name, entry);
    const std::string more = std::string(name) + ".more";
    require(zip.add(more, as_bytes(zeros).first(entry.size % zeros.size())));
    size.add(more, entry.size % zeros.size());
    const std::string less = std::string(name) + ".less";
    const auto packed = deflate(as_bytes(zeros), 6);
    REQUIRE(packed.ok());
    require(zip.add_compressed(less, as_bytes(*packed), zeros.size(), 0));
    size.add(less, {.name = {},
                    .compressed_size = packed->size(),
                    .size = zeros.size(),
                    .method = kZipDeflated});
    const std::string empty = std::string(name) + ".empty";
    require(zip.add(empty, {}));
    size.add(empty, 0);
  });
  CHECK(size.total() == out.size());
}

TEST_CASE("records added from memory give the bytes of torch.save") {
  const ZipReader source = open_state_dict();
  const std::string out = rewrite(source, [&](ZipWriter& zip, auto name, const ZipEntry& entry) {
    const auto data = source.read(entry, 1 << 20);
    REQUIRE(data.ok());
    require(zip.add(name, as_bytes(*data)));
  });
  CHECK(out == torch_state_dict());
}

TEST_CASE("records copied from a file give the bytes of torch.save") {
  const ZipReader source = open_state_dict();
  CHECK(rewrite(source, [&](ZipWriter& zip, auto name, const ZipEntry& entry) {
          require(zip.copy_record(name, source, entry));
        }) == torch_state_dict());
  CHECK(rewrite(source, [&](ZipWriter& zip, auto name, const ZipEntry& entry) {
          const auto offset = source.data_offset(entry);
          REQUIRE(offset.ok());
          require(zip.add_copy(name, source.file(), *offset, entry.size, entry.crc32));
        }) == torch_state_dict());
}

TEST_CASE("records reserved and filled later give the bytes of torch.save") {
  const ZipReader source = open_state_dict();
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "sd");
  std::vector<ZipWriter::Slot> slots;
  for (const ZipEntry& entry : source.entries()) {
    const auto slot = zip.reserve(source.relative_name(entry), entry.size);
    REQUIRE(slot.ok());
    CHECK(slot->data_offset % 64 == 0);
    slots.push_back(*slot);
  }
  CHECK(zip.finish().error().kind() == ErrorKind::internal);  // nothing is complete yet
  for (size_t i = slots.size(); i-- > 0;) {
    const auto data = source.read(source.entries()[i], 1 << 20);
    REQUIRE(data.ok());
    require(out.write_at(slots[i].data_offset, as_bytes(*data)));
    require(zip.complete(slots[i], crc32(as_bytes(*data))));
  }
  require(zip.finish());
  require(out.publish());
  CHECK(content(folder / "out.pt") == torch_state_dict());
}

TEST_CASE("a record beyond 4 GiB and those behind it have PyTorch's zip64 forms") {
  const std::string head = torch_large_head();
  const std::string tail = torch_large_tail();
  const ScratchFolder folder;
  OutputFile out = create(folder / "large.pt");
  ZipWriter zip(out, "archive");
  require(zip.add("data.pkl", as_bytes("0123456789")));
  const auto slot = zip.reserve("data/0", kLargeRecordSize);  // a hole in the file
  REQUIRE(slot.ok());
  CHECK(slot->data_offset == head.size());
  require(zip.complete(*slot, 0xC9EFF1BD));
  require(zip.add("data/1", as_bytes(std::string(100, 'x'))));
  require(zip.add("data/2", {}));
  require(zip.add("version", as_bytes("3\n")));
  require(zip.add("byteorder", as_bytes("little")));
  const size_t id = tail.find("archive/.data/serialization_id");
  REQUIRE(id != std::string::npos);
  const size_t digits = tail.find("PK\7\b", id) - 40;
  require(zip.add(".data/serialization_id", as_bytes(tail.substr(digits, 40))));
  require(zip.finish());
  require(out.publish());

  const auto file = InputFile::open(folder / "large.pt");
  REQUIRE(file.ok());
  const uint64_t data_end = head.size() + kLargeRecordSize;
  REQUIRE((*file)->size() == data_end + tail.size());
  CHECK(*(*file)->read_string(0, head.size()) == head);
  CHECK(*(*file)->read_string(data_end, tail.size()) == tail);

  const auto reader = ZipReader::open(*file, ZipDialect::torch);
  REQUIRE(reader.ok());
  const ZipEntry* large = reader->record("data/0");
  REQUIRE(large != nullptr);
  CHECK(large->size == kLargeRecordSize);
  CHECK(*reader->data_offset(*large) == head.size());
  const ZipEntry* behind = reader->record("data/1");
  REQUIRE(behind != nullptr);
  CHECK(behind->header_offset > kZip64Threshold);
  CHECK(*reader->read(*behind, 100) == std::string(100, 'x'));
}

TEST_CASE("the data of a record can be placed at any residue") {
  for (const uint64_t residue : {uint64_t{0}, uint64_t{64}, uint64_t{4095}}) {
    const ZipEntry entry{.name = "a/b", .header_offset = 12345, .compressed_size = 1, .size = 1};
    const std::string header = zip_local_header(entry, {4096, residue});
    CHECK((12345 + header.size()) % 4096 == residue);
    CHECK(header.size() < 30 + 3 + 4 + 4096);
  }
}

TEST_CASE("padding moves the next record, and readers do not mind") {
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "m");
  require(zip.add("data.pkl", as_bytes("one")));
  require(zip.pad(64, 4096));
  CHECK(out.position() == 64 + 4096);
  require(zip.add("data/0", as_bytes("two")));
  require(zip.finish());
  require(out.publish());
  const auto reader = ZipReader::open(file_of(content(folder / "out.pt")), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK(reader->record("data/0")->header_offset == 4160);
  CHECK(*reader->read(*reader->record("data/0"), 3) == "two");
}

TEST_CASE("kept entries are listed where they have moved to") {
  const ZipReader source = open_state_dict();
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "sd");
  // The old records stay where they are, a new pickle follows them.
  require(out.copy_from(source.file(), 0, source.central_directory_offset()));
  for (const ZipEntry& entry : source.entries()) {
    if (source.relative_name(entry) != "data.pkl") require(zip.keep(entry));
  }
  require(zip.add("data.pkl", as_bytes("new pickle")));
  require(zip.finish());
  require(out.publish());
  const auto reader = ZipReader::open(file_of(content(folder / "out.pt")), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK(reader->entries().size() == source.entries().size());
  CHECK(*reader->read(*reader->record("data.pkl"), 10) == "new pickle");
  for (const ZipEntry& entry : reader->entries()) {
    CHECK(reader->check(entry, null_reporter()).ok());
  }
}

TEST_CASE("deflated records are read back, and stored where that is smaller") {
  const std::string zeros(100000, '\0');
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "m");
  require(zip.add_deflated("zeros", as_bytes(zeros), 9));
  require(zip.add_deflated("short", as_bytes("x"), 9));
  require(zip.add_deflated("empty", {}, 9));
  require(zip.finish());
  require(out.publish());
  const auto reader = ZipReader::open(file_of(content(folder / "out.pt")), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK(reader->record("zeros")->method == kZipDeflated);
  CHECK(reader->record("zeros")->compressed_size < 1000);
  CHECK(*reader->read(*reader->record("zeros"), zeros.size()) == zeros);
  CHECK(reader->view(*reader->record("zeros")).error().kind() == ErrorKind::unsupported);
  CHECK(reader->record("short")->is_stored());
  CHECK(reader->record("empty")->is_stored());

  // A compressed record keeps its form in a copy.
  OutputFile second = create(folder / "second.pt");
  ZipWriter copy(second, "n");
  require(copy.copy_record("zeros", *reader, *reader->record("zeros")));
  require(copy.finish());
  require(second.publish());
  const auto again = ZipReader::open(file_of(content(folder / "second.pt")), ZipDialect::torch);
  REQUIRE(again.ok());
  CHECK(again->record("zeros")->method == kZipDeflated);
  CHECK(again->check(*again->record("zeros"), null_reporter()).ok());
}

TEST_CASE("an archive may begin anywhere in the output") {
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.bin");
  require(out.write("prefix"));
  ZipWriter zip(out, "", {.alignment = 1, .start_offset = 6});
  require(zip.add("a.npy", as_bytes("array")));
  require(zip.finish());
  require(out.write("suffix"));
  require(out.publish());
  const std::string bytes = content(folder / "out.bin");
  const auto reader =
      ZipReader::open(file_of(bytes), ByteWindow{6, bytes.size() - 12}, ZipDialect::any);
  REQUIRE(reader.ok());
  CHECK(reader->root().empty());
  CHECK(*reader->read(*reader->record("a.npy"), 5) == "array");
  CHECK(reader->record("a.npy")->header_offset == 6);
  CHECK(reader->end_offset() == bytes.size() - 6);
}

TEST_CASE("names that the reader would refuse are not written") {
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "m");
  for (const std::string name : {"../x", "a\\b", "a\nb", "\xff"}) {
    const Status status = zip.add(name, {});
    REQUIRE(!status.ok());
    CHECK(status.error().kind() == ErrorKind::usage);
  }
}

TEST_CASE("Python's zipfile accepts stored, deflated and padded records") {
  const std::string python = std::string(MLC_SOURCE_DIR) + "/.deps/venv/bin/python";
  if (::access(python.c_str(), X_OK) != 0) {
    WARN("no Python at " << python);
    return;
  }
  const ScratchFolder folder;
  OutputFile out = create(folder / "out.pt");
  ZipWriter zip(out, "m");
  require(zip.add("data.pkl", as_bytes("pickle")));
  require(zip.pad(64, 4096));
  require(zip.add_deflated("data/0", as_bytes(std::string(5000, 'z')), 6));
  require(zip.add("data/1", {}));
  require(zip.finish());
  require(out.publish());
  const std::string command =
      python +
      " -c \"import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); "
      "sys.exit(z.testzip() is not None or z.read('m/data/0') != b'z' * 5000)\" '" +
      (folder / "out.pt") + "'";
  CHECK(std::system(command.c_str()) == 0);
}
