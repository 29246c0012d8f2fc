// Archives that lie: each is a good one with one thing changed, and each has its own error.
#include "catch.h"
#include "mlc/base/bytes.h"
#include "mlc/container/deflate.h"
#include "mlc/container/zip_reader.h"
#include "scratch_file.h"
#include "torch_archives.h"

#include <functional>

using namespace mlc;
using namespace mlc::test;

namespace {

// PyTorch's archive with handles on its parts.
struct Archive {
  std::string bytes = torch_state_dict();

  size_t tail() const { return bytes.size() - kZipTailSize; }
  size_t locator() const { return bytes.size() - 42; }
  size_t end() const { return bytes.size() - 22; }
  size_t central(int index) const {
    size_t p = bytes.find("PK\1\2");
    while (index-- > 0) p = bytes.find("PK\1\2", p + 1);
    return p;
  }
  template <class T>
  void put(size_t offset, T value) {
    store_le(bytes.data() + offset, value);
  }
  template <class T>
  T get(size_t offset) const {
    return load_le<T>(bytes.data() + offset);
  }
  // Both end records say the same.
  void put_directory(uint64_t offset, uint64_t size) {
    put<uint64_t>(tail() + 40, size);
    put<uint64_t>(tail() + 48, offset);
    put<uint32_t>(end() + 12, static_cast<uint32_t>(size));
    put<uint32_t>(end() + 16, static_cast<uint32_t>(offset));
  }
  void put_entries(uint64_t count) {
    put<uint64_t>(tail() + 24, count);
    put<uint64_t>(tail() + 32, count);
    put<uint16_t>(end() + 8, static_cast<uint16_t>(count));
    put<uint16_t>(end() + 10, static_cast<uint16_t>(count));
  }
  // A new name of the same length in the central directory.
  void rename(int index, std::string_view name) {
    bytes.replace(central(index) + 46, name.size(), name);
  }
};

std::string open_error(const std::string& bytes, ZipDialect dialect = ZipDialect::torch) {
  const auto reader = ZipReader::open(file_of(bytes), dialect);
  if (reader.ok()) return "(opened)";
  CHECK(!reader.error().file().empty());
  return std::string(to_string(reader.error().kind())) + ": " + reader.error().message();
}

struct Case {
  std::string what;
  std::function<void(Archive&)> change;
  std::string expected;  // a part of kind and message
};

void check_cases(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Archive archive;
    c.change(archive);
    INFO(c.what);
    CHECK_THAT(open_error(archive.bytes), Catch::Contains(c.expected));
  }
}

// The message of reading record NAME of an archive that opens.
std::string read_error(const std::string& bytes, std::string_view name) {
  const auto reader = ZipReader::open(file_of(bytes), ZipDialect::torch);
  if (!reader.ok()) FAIL(reader.error().text());
  const auto out = reader->read(*reader->record(name), 1 << 20);
  if (out.ok()) return "(read)";
  CHECK(!out.error().file().empty());
  CHECK(!reader->check(*reader->record(name), null_reporter()).ok());
  return std::string(to_string(out.error().kind())) + ": " + out.error().text();
}

// entry 0: data.pkl, 1: .format_version, 3: byteorder, 4: data/0 (24 bytes), 5: data/1 (empty), 6:
// data/2
constexpr int kData0 = 4, kData1 = 5, kData2 = 6;

}  // namespace

TEST_CASE("the unchanged archive opens") {
  CHECK(open_error(Archive().bytes) == "(opened)");
}

TEST_CASE("a missing end record names the likely cause") {
  const std::string whole = Archive().bytes;
  CHECK_THAT(open_error(whole.substr(0, 1000)),
             Catch::Contains("corrupt: the zip archive has no end record: most likely a truncated "
                             "download (1,000 bytes are here)"));
  CHECK_THAT(open_error(whole.substr(0, whole.size() - 1)), Catch::Contains("truncated download"));
  CHECK_THAT(open_error(whole.substr(0, 500) + std::string(100000, '\0')),
             Catch::Contains("100,500 bytes end with at least 65,557 zeros"));
  CHECK_THAT(open_error(whole.substr(0, 500) + std::string(2000, '\0')),
             Catch::Contains("2,500 bytes end with 2,000 zeros"));
  CHECK_THAT(open_error("hello"), Catch::Contains("is not a zip archive"));
  CHECK_THAT(open_error(""), Catch::Contains("is not a zip archive"));
}

TEST_CASE("bytes behind the end are accepted up to 64 KiB, with a warning") {
  const std::string whole = Archive().bytes;
  const auto reader = ZipReader::open(file_of(whole + std::string(65000, 'x')), ZipDialect::torch);
  REQUIRE(reader.ok());
  REQUIRE(reader->warnings().size() == 1);
  CHECK(reader->warnings()[0] == "65,000 bytes after the end of the zip archive");
  CHECK_THAT(open_error(whole + std::string(70000, 'x')), Catch::Contains("no end record"));
}

TEST_CASE("of two end records the last counts, and the other is named") {
  Archive archive;
  archive.put<uint16_t>(archive.end() + 20, 22);  // the second one is the comment of the first
  archive.bytes += std::string("PK\5\6", 4) + std::string(18, '\0');
  const auto any = ZipReader::open(file_of(archive.bytes), ZipDialect::any);
  REQUIRE(any.ok());
  CHECK(any->entries().empty());
  REQUIRE(!any->warnings().empty());
  CHECK_THAT(any->warnings()[0],
             Catch::StartsWith("two zip end records at offset 1886 and at offset 1908"));
  CHECK_THAT(open_error(archive.bytes), Catch::Contains("no records"));
}

TEST_CASE("a comment is allowed, a cut one warned of") {
  Archive archive;
  archive.put<uint16_t>(archive.end() + 20, 5);
  archive.bytes += "hello";
  const auto reader = ZipReader::open(file_of(archive.bytes), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK(reader->warnings().empty());
  const auto cut = ZipReader::open(file_of(archive.bytes.substr(0, archive.bytes.size() - 2)),
                                   ZipDialect::torch);
  REQUIRE(cut.ok());
  CHECK(cut->warnings().size() == 1);
}

TEST_CASE("end records that contradict themselves or each other") {
  check_cases({
      {"locator beyond the end", [](Archive& a) { a.put<uint64_t>(a.locator() + 8, 1 << 20); },
       "corrupt: the zip64 locator at offset 1866 points to offset 1048576"},
      {"locator near 2^64", [](Archive& a) { a.put<uint64_t>(a.locator() + 8, ~uint64_t{0} - 10); },
       "not in front of it"},
      {"locator to itself", [](Archive& a) { a.put<uint64_t>(a.locator() + 8, a.locator()); },
       "not in front of it"},
      {"locator to other bytes", [](Archive& a) { a.put<uint64_t>(a.locator() + 8, 7); },
       "no zip64 end record at offset 7"},
      {"locator of several disks", [](Archive& a) { a.put<uint32_t>(a.locator() + 16, 2); },
       "unsupported: the zip archive is spread over several files"},
      {"zip64 size too small", [](Archive& a) { a.put<uint64_t>(a.tail() + 4, 43); },
       "impossible size of 43 bytes"},
      {"zip64 size too large", [](Archive& a) { a.put<uint64_t>(a.tail() + 4, 45); },
       "impossible size of 45 bytes"},
      {"several disks",
       [](Archive& a) {
         a.put<uint32_t>(a.tail() + 16, 3);
         a.put<uint32_t>(a.tail() + 20, 3);
       },
       "spread over several files"},
      {"entry counts differ between the records",
       [](Archive& a) { a.put<uint16_t>(a.end() + 10, 8); }, "disagree: 8 entries"},
      {"directory offset differs", [](Archive& a) { a.put<uint32_t>(a.end() + 16, 1); },
       "disagree"},
      {"directory size differs", [](Archive& a) { a.put<uint32_t>(a.end() + 12, 1); }, "disagree"},
      {"entries on this disk differ",
       [](Archive& a) {
         a.put<uint64_t>(a.tail() + 24, 8);
         a.put<uint16_t>(a.end() + 8, 8);
       },
       "counts 9 entries, but 8 on this disk"},
      {"more entries than the directory has room for", [](Archive& a) { a.put_entries(12); },
       "12 entries do not fit a zip central directory of 538 bytes"},
      {"more entries than allowed",
       [](Archive& a) {
         a.put_entries(uint64_t{1} << 40);
         a.put<uint32_t>(a.end() + 8, 0xFFFFFFFF);
       },
       "states 1,099,511,627,776 entries; at most 4,194,304"},
      {"directory larger than allowed",
       [](Archive& a) {
         a.put<uint64_t>(a.tail() + 40, uint64_t{1} << 62);
         a.put<uint32_t>(a.end() + 12, 0xFFFFFFFF);
       },
       "at most 1.1 GB are read"},
      {"directory reaches into the end record", [](Archive& a) { a.put_directory(0x4f8, 539); },
       "central directory (539 bytes at offset 1272) reaches into the end record at offset 1810"},
      {"directory begins beyond the end",
       [](Archive& a) {
         a.put<uint64_t>(a.tail() + 48, ~uint64_t{0});
         a.put<uint32_t>(a.end() + 16, 0xFFFFFFFF);
       },
       "reaches into the end record"},
      {"fewer entries than the directory has", [](Archive& a) { a.put_entries(8); },
       "goes on for 71 bytes after the 8 entries"},
      {"directory begins at a wrong place", [](Archive& a) { a.put_directory(0x4f7, 538); },
       "no entry 0 of the zip central directory at offset 1271"},
      {"an entry inside is no entry", [](Archive& a) { a.bytes[a.central(3)] = 'Q'; },
       "no entry 3 of the zip central directory"},
      {"an entry takes the room of the next",
       [](Archive& a) { a.put<uint16_t>(a.central(7) + 28, 10 + 72); },
       "entry 7 of the zip central directory at offset 1683 leaves no room"},
      {"an entry reaches beyond the directory",
       [](Archive& a) { a.put<uint16_t>(a.central(8) + 32, 9); },
       "entry 8 of the zip central directory at offset 1739 leaves no room"},
  });
}

TEST_CASE("bytes in front of the archive are named as the cause") {
  const auto reader = ZipReader::open(file_of("#!/bin/sh\n" + Archive().bytes), ZipDialect::torch);
  REQUIRE(!reader.ok());
  // The locator is off, too: its absolute offset misses the zip64 record.
  CHECK_THAT(reader.error().message(), Catch::Contains("no zip64 end record at offset 1810"));
}

TEST_CASE("entries that contradict themselves") {
  check_cases({
      {"encrypted", [](Archive& a) { a.put<uint16_t>(a.central(0) + 8, 0x0809); },
       "unsupported: zip entry \"sd/data.pkl\" is encrypted"},
      {"strongly encrypted", [](Archive& a) { a.put<uint16_t>(a.central(0) + 8, 0x0840); },
       "is strongly encrypted"},
      {"patch", [](Archive& a) { a.put<uint16_t>(a.central(0) + 8, 0x0820); }, "is a patch"},
      {"masked", [](Archive& a) { a.put<uint16_t>(a.central(0) + 8, 0x2800); },
       "has a masked header"},
      {"unknown method", [](Archive& a) { a.put<uint16_t>(a.central(0) + 10, 12); },
       "unsupported: zip entry \"sd/data.pkl\" is compressed with method 12"},
      {"stored, sizes differ", [](Archive& a) { a.put<uint32_t>(a.central(kData0) + 24, 25); },
       "zip entry 4 (\"sd/data/0\", header at offset 662) is stored but its two sizes differ"},
      {"deflated from nothing",
       [](Archive& a) {
         a.put<uint16_t>(a.central(kData1) + 10, 8);
         a.put<uint32_t>(a.central(kData1) + 24, 25);
       },
       "states a size but has no bytes"},
      {"empty with bytes",
       [](Archive& a) {
         a.put<uint16_t>(a.central(kData0) + 10, 8);
         a.put<uint32_t>(a.central(kData0) + 24, 0);
       },
       "is stated to be empty but has bytes"},
      {"header offset beyond the directory",
       [](Archive& a) { a.put<uint32_t>(a.central(0) + 42, 1272); },
       "reaches into the central directory at offset 1272"},
      {"data beyond the directory",
       [](Archive& a) {
         a.put<uint32_t>(a.central(8) + 20, 5000);
         a.put<uint32_t>(a.central(8) + 24, 5000);
       },
       "of 5000 bytes reaches into the central directory"},
      {"saturated size without a zip64 field",
       [](Archive& a) { a.put<uint32_t>(a.central(0) + 24, 0xFFFFFFFF); },
       "lacks its 64-bit size or offset"},
      {"saturated offset without a zip64 field",
       [](Archive& a) { a.put<uint32_t>(a.central(0) + 42, 0xFFFFFFFF); },
       "lacks its 64-bit size or offset"},
      {"on another disk", [](Archive& a) { a.put<uint16_t>(a.central(0) + 34, 2); },
       "unsupported: zip entry \"sd/data.pkl\" lies in another file"},
      {"name with NUL", [](Archive& a) { a.rename(0, std::string_view("sd/dat\0.pkl", 11)); },
       "has a name that contains a control byte"},
      {"name with backslash", [](Archive& a) { a.rename(0, "sd\\data.pkl"); },
       "has a name that contains a backslash"},
      {"absolute name", [](Archive& a) { a.rename(0, "/d/data.pkl"); },
       "has a name that begins with a slash"},
      {"drive", [](Archive& a) { a.rename(0, "c:/data.pkl"); },
       "has a name that begins with a drive"},
      {"parent folder", [](Archive& a) { a.rename(0, "sd/../a.pkl"); },
       "has a name that contains \"..\""},
      {"broken UTF-8", [](Archive& a) { a.rename(0, "sd/dat\xff.pkl"); },
       "has a name that is not UTF-8"},
      {"folder with content", [](Archive& a) { a.rename(0, "sd/data.pk/"); },
       "is named as a folder but has content"},
      {"empty name",
       [](Archive& a) {
         a.put<uint16_t>(a.central(0) + 28, 0);
         a.put<uint16_t>(a.central(0) + 30, 11);
       },
       "has a name that is empty"},
      {"no folder", [](Archive& a) { a.rename(0, "sd-data.pkl"); },
       "\"sd-data.pkl\" lies in no folder"},
      {"outside the root", [](Archive& a) { a.rename(kData0, "xd/data/0"); },
       "record \"xd/data/0\" (header at offset 662) lies outside the folder \"sd\""},
      {"root as a prefix only", [](Archive& a) { a.rename(kData0, "sdd/ata/0"); }, "lies outside"},
      {"duplicate", [](Archive& a) { a.rename(kData2, "sd/data/0"); },
       "two records are called \"sd/data/0\" (headers at offsets 662 and 896)"},
      {"duplicate but for case", [](Archive& a) { a.rename(kData2, "sd/DATA/0"); },
       "records \"sd/data/0\" and \"sd/DATA/0\" differ only in case"},
      {"two entries share a header",
       [](Archive& a) {
         a.put<uint32_t>(a.central(kData1) + 42, a.get<uint32_t>(a.central(kData2) + 42));
       },
       "reaches into record"},
      {"an entry covers the next",
       [](Archive& a) {
         a.put<uint32_t>(a.central(kData0) + 20, 300);
         a.put<uint32_t>(a.central(kData0) + 24, 300);
       },
       "record \"sd/data/0\" (header at offset 662) of 300 bytes reaches into record "
       "\"sd/data/1\""},
  });
}

TEST_CASE("a name beyond 4,096 bytes is refused") {
  CHECK(zip_name_problem(std::string(4096, 'a')).empty());
  CHECK(zip_name_problem(std::string(4097, 'a')) == "is longer than 4,096 bytes");
  CHECK(zip_name_problem("a..b/c...") == "");
  CHECK(zip_name_problem("modell/\xc3\xa4") == "");
}

TEST_CASE("limits can be lowered") {
  const auto few = ZipReader::open(file_of(Archive().bytes), ZipDialect::torch, {.entries = 8});
  CHECK(!few.ok());
  const auto small =
      ZipReader::open(file_of(Archive().bytes), ZipDialect::torch, {.central_directory = 537});
  CHECK(!small.ok());
}

TEST_CASE("records in any order are fine, and overlap is still seen") {
  Archive archive;
  // The first two records change places: same length of the entries is not needed, only whole ones.
  const size_t first = archive.central(0), second = archive.central(1), third = archive.central(2);
  const std::string a = archive.bytes.substr(first, second - first);
  const std::string b = archive.bytes.substr(second, third - second);
  archive.bytes.replace(first, third - first, b + a);
  const auto reader = ZipReader::open(file_of(archive.bytes), ZipDialect::torch);
  REQUIRE(reader.ok());
  for (const ZipEntry& entry : reader->entries()) CHECK(reader->check(entry, null_reporter()).ok());
  const size_t pickle = archive.central(1);
  archive.put<uint32_t>(pickle + 20, 400);
  archive.put<uint32_t>(pickle + 24, 400);
  CHECK_THAT(open_error(archive.bytes),
             Catch::Contains("reaches into record \"sd/.format_version\""));
}

TEST_CASE("local headers are checked when data are asked for") {
  constexpr size_t kData0Header = 662;
  const auto changed = [&](auto change) {
    Archive archive;
    change(archive);
    return read_error(archive.bytes, "data/0");
  };
  CHECK_THAT(changed([](Archive& a) { a.bytes[kData0Header] = 'Q'; }),
             Catch::Contains("has no local header"));
  CHECK_THAT(
      changed([](Archive& a) { a.bytes[kData0Header + 30] = 'x'; }),
      Catch::Contains(
          "record \"sd/data/0\" (header at offset 662) has another name in its local header"));
  CHECK_THAT(changed([](Archive& a) { a.put<uint16_t>(kData0Header + 26, 8); }),
             Catch::Contains("has another name"));
  CHECK_THAT(
      changed([](Archive& a) { a.put<uint16_t>(kData0Header + 8, 8); }),
      Catch::Contains("with method 0 according to the central directory, but with method 8"));
  CHECK_THAT(changed([](Archive& a) { a.put<uint16_t>(kData0Header + 6, 0x0809); }),
             Catch::Contains("is encrypted"));
  CHECK_THAT(changed([](Archive& a) { a.put<uint16_t>(kData0Header + 28, 0x60); }),
             Catch::Contains("of 24 bytes reaches into what follows it at offset 808"));
  // Sizes and CRC there mean nothing, as in PyTorch's own files.
  CHECK(changed([](Archive& a) { a.put<uint32_t>(kData0Header + 22, 99); }) == "(read)");
}

TEST_CASE("damaged data are found by their CRC") {
  Archive archive;
  archive.bytes[0x300] = 1;
  CHECK_THAT(
      read_error(archive.bytes, "data/0"),
      Catch::Contains("record \"sd/data/0\" (header at offset 662) is damaged: its bytes have "
                      "CRC-32 0x") &&
          Catch::Contains("the archive states 0x91e79017"));
}

TEST_CASE("deflated records must be what they say") {
  // data/0 keeps its 24 bytes in the file but they are read as a deflate stream.
  const auto with_stream = [](std::string_view content, uint32_t stated) {
    const auto packed = deflate(as_bytes(content), 9);
    REQUIRE(packed.ok());
    REQUIRE(packed->size() <= 24);
    Archive a;
    a.bytes.replace(0x300, packed->size(), *packed);
    a.put<uint16_t>(662 + 8, 8);
    a.put<uint16_t>(a.central(kData0) + 10, 8);
    a.put<uint32_t>(a.central(kData0) + 16, 0);
    a.put<uint32_t>(a.central(kData0) + 20, static_cast<uint32_t>(packed->size()));
    a.put<uint32_t>(a.central(kData0) + 24, stated);
    return a.bytes;
  };
  const std::string text(1000, 'a');
  CHECK(read_error(with_stream(text, 1000), "data/0") == "(read)");
  CHECK_THAT(read_error(with_stream(text, 999), "data/0"),
             Catch::Contains(
                 "record \"sd/data/0\" (header at offset 662): the compressed data hold more"));
  CHECK_THAT(read_error(with_stream(text, 1001), "data/0"),
             Catch::Contains("hold 1000 bytes, not the stated 1001"));
  CHECK_THAT(read_error(with_stream(text, 1000000), "data/0"),
             Catch::Contains("cannot hold the stated 1000000"));
}

TEST_CASE("every single changed byte is either harmless or an error, never a crash") {
  const std::string good = Archive().bytes;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      const auto reader = ZipReader::open(file_of(bytes), ZipDialect::torch);
      if (!reader.ok()) continue;
      for (const ZipEntry& entry : reader->entries()) {
        const auto out = reader->read(entry, 1 << 20);
        if (out.ok()) REQUIRE(out->size() == entry.size);
      }
    }
  }
}

TEST_CASE("every truncation is an error") {
  const std::string good = Archive().bytes;
  for (size_t size = 0; size < good.size(); ++size) {
    REQUIRE(!ZipReader::open(file_of(good.substr(0, size)), ZipDialect::torch).ok());
  }
}
