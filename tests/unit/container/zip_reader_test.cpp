#include "mlc/container/zip_reader.h"

#include "catch.h"
#include "scratch_file.h"
#include "torch_archives.h"

using namespace mlc;
using namespace mlc::test;

namespace {

std::string golden(const std::string& name) {
  return std::string(MLC_SOURCE_DIR) + "/tests/golden/" + name;
}

ZipReader open(const std::string& path, ZipDialect dialect) {
  auto file = InputFile::open(path);
  REQUIRE(file.ok());
  auto reader = ZipReader::open(*file, dialect);
  if (!reader.ok()) FAIL(path << ": " << reader.error().text());
  return std::move(reader).value();
}

}  // namespace

TEST_CASE("an archive of torch.save is listed as it is") {
  const auto reader = ZipReader::open(file_of(torch_state_dict()), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK(reader->root() == "sd");
  CHECK(reader->warnings().empty());
  std::vector<std::string> names;
  for (const ZipEntry& entry : reader->entries()) names.emplace_back(reader->relative_name(entry));
  CHECK(names == std::vector<std::string>{"data.pkl", ".format_version", ".storage_alignment",
                                          "byteorder", "data/0", "data/1", "data/2", "version",
                                          ".data/serialization_id"});
  const ZipEntry* w = reader->record("data/0");
  REQUIRE(w != nullptr);
  CHECK(w->name == "sd/data/0");
  CHECK(w->size == 24);
  CHECK(w->crc32 == 0x91e79017);  // from unzip -v
  CHECK(*reader->data_offset(*w) == 0x300);
  CHECK(reader->find("sd/data/0") == w);
  CHECK(reader->find("data/0") == nullptr);
  CHECK(reader->record("DATA/0") == reader->record("data/0"));
  CHECK(reader->record("data/3") == nullptr);
  CHECK(reader->record(std::string(5000, 'x')) == nullptr);
  CHECK(*reader->read(*reader->record("byteorder"), 100) == "little");
  CHECK(as_text(*reader->view(*reader->record("byteorder"))) == "little");
  CHECK(reader->central_directory_offset() == 0x4f8);
  CHECK(reader->central_directory_size() == 0x21a);
  CHECK(reader->end_offset() == reader->file().size());
}

TEST_CASE("every archive of older PyTorch releases is readable to the last byte") {
  for (const std::string name :
       {"sd_1.7.pt", "sd_1.13.pt", "sd_2.6.pt", "model_1.7.pt", "model_1.13.pt", "model_2.6.pt",
        "train_1.7.pt", "train_1.13.pt", "train_2.6.pt", "ts_1.7.pt", "tt_1.7.pt"}) {
    const ZipReader reader = open(golden(name), ZipDialect::torch);
    CHECK(reader.record("version") != nullptr);
    CHECK(reader.record("data.pkl") != nullptr);
    for (const ZipEntry& entry : reader.entries()) {
      INFO(name << ": " << entry.name);
      CHECK(reader.check(entry, null_reporter()).ok());
      CHECK(reader.find(entry.name) == &entry);
    }
  }
}

TEST_CASE("an archive without a root is for the other dialect") {
  const ZipReader reader = open(golden("ep_2.6.pt2"), ZipDialect::any);
  CHECK(reader.root().empty());
  REQUIRE(reader.record("serialized_state_dict.pt") != nullptr);
  const auto file = InputFile::open(golden("ep_2.6.pt2"));
  const auto strict = ZipReader::open(*file, ZipDialect::torch);
  REQUIRE(!strict.ok());
  CHECK(strict.error().message().find("lies in no folder") != std::string::npos);
}

TEST_CASE("an archive inside another file is read in its window, with absolute offsets") {
  // The old .pt2 stores whole torch.save files as records.
  const ZipReader outer = open(golden("ep_2.6.pt2"), ZipDialect::any);
  const ZipEntry* state = outer.record("serialized_state_dict.pt");
  REQUIRE(state != nullptr);
  REQUIRE(state->is_stored());
  const uint64_t offset = *outer.data_offset(*state);
  const auto inner = ZipReader::open(outer.shared_file(), {offset, state->size}, ZipDialect::torch);
  if (!inner.ok()) FAIL(inner.error().text());
  for (const ZipEntry& entry : inner->entries()) {
    CHECK(entry.header_offset >= offset);
    CHECK(inner->check(entry, null_reporter()).ok());
  }
  CHECK(inner->central_directory_offset() > offset);
}

TEST_CASE("a window outside the file is refused") {
  const auto file = file_of("12345");
  CHECK(!ZipReader::open(file, ByteWindow{3, 3}, ZipDialect::any).ok());
  CHECK(!ZipReader::open(file, ByteWindow{~uint64_t{0}, 2}, ZipDialect::any).ok());
}

TEST_CASE("reading has a cap") {
  const auto reader = ZipReader::open(file_of(torch_state_dict()), ZipDialect::torch);
  REQUIRE(reader.ok());
  const auto out = reader->read(*reader->record("data/0"), 23);
  REQUIRE(!out.ok());
  CHECK(out.error().message() ==
        "record \"sd/data/0\" (header at offset 662) has 24 B; at most 23 B are read here");
}

TEST_CASE("checking counts progress and stops when the user asks") {
  struct Counting : Reporter {
    void begin(std::string_view, uint64_t) override {}
    void advance(uint64_t amount) override { done += amount; }
    void end() override {}
    void warn(std::string) override {}
    void detail(std::string) override {}
    bool interrupted() const override { return stop; }
    uint64_t done = 0;
    bool stop = false;
  } reporter;
  const auto reader = ZipReader::open(file_of(torch_state_dict()), ZipDialect::torch);
  REQUIRE(reader.ok());
  const ZipEntry& entry = *reader->record("data/0");
  CHECK(reader->check(entry, reporter).ok());
  CHECK(reporter.done == 24);
  reporter.stop = true;
  CHECK(reader->check(entry, reporter).error().kind() == ErrorKind::interrupted);
}

TEST_CASE("a record whose CRC was not recorded is no damage") {
  std::string bytes = torch_state_dict();
  const size_t entry = bytes.find("PK\1\2");
  bytes.replace(entry + kZipCentralCrcOffset, 4, 4, '\0');
  const auto reader = ZipReader::open(file_of(bytes), ZipDialect::torch);
  REQUIRE(reader.ok());
  CHECK_FALSE(reader->record("data.pkl")->has_crc());
  CHECK(reader->check(*reader->record("data.pkl"), null_reporter()).ok());
}

TEST_CASE("names are found whatever their length, in another case only when folding") {
  std::vector<std::string> names;
  for (size_t n = 1; n <= 40; ++n) {
    names.push_back(std::string(n, 'a'));
    names.push_back(std::string(n, 'a') + "/B");
  }
  for (int i = 0; i < 20000; ++i) names.push_back("data/" + std::to_string(i));
  std::vector<ZipEntry> entries(names.size());
  for (size_t i = 0; i < names.size(); ++i) entries[i].name = names[i];
  for (const bool fold : {false, true}) {
    ZipNameIndex index;
    CHECK(index.find(entries, "a") == nullptr);
    REQUIRE(!index.build(entries, fold));
    for (const ZipEntry& entry : entries) REQUIRE(index.find(entries, entry.name) == &entry);
    CHECK(index.find(entries, "A") == (fold ? &entries[0] : nullptr));
    CHECK(index.find(entries, "AAAAAAAAA/b") == (fold ? &entries[17] : nullptr));
    CHECK(index.find(entries, "") == nullptr);
    CHECK(index.find(entries, "data/20000") == nullptr);
  }
}

TEST_CASE("names that differ in ASCII case only are duplicates when folding") {
  const auto duplicate = [](std::string a, std::string b, bool fold) {
    const std::vector<ZipEntry> entries = {{.name = a}, {.name = b}};
    return ZipNameIndex().build(entries, fold).has_value();
  };
  CHECK(duplicate("archive/Data/0", "archive/data/0", true));
  CHECK_FALSE(duplicate("archive/Data/0", "archive/data/0", false));
  CHECK(duplicate("archive/data/0", "archive/data/0", false));
  CHECK(duplicate("Z", "z", true));
  // Neighbours of the letters, and bytes of UTF-8 whose low bits look like letters.
  CHECK_FALSE(duplicate("@", "`", true));
  CHECK_FALSE(duplicate("[", "{", true));
  CHECK_FALSE(duplicate("\xc3\x81", "\xc3\xa1", true));
}
