#include "mlc/container/tar_reader.h"

#include "catch.h"
#include "scratch_file.h"

using namespace mlc;
using namespace mlc::test;

namespace {

// One header as POSIX describes it, with a right checksum.
std::string header(const std::string& name, uint64_t size, char type = '0') {
  std::string h(512, '\0');
  h.replace(0, std::min<size_t>(name.size(), 100), name.substr(0, 100));
  char octal[12];
  snprintf(octal, sizeof octal, "%011llo", static_cast<unsigned long long>(size));
  h.replace(124, 11, octal, 11);
  h.replace(100, 7, "0000644");
  h[156] = type;
  h.replace(257, 8,
            std::string("ustar\0"
                        "00",
                        8));
  h.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  char check[8];
  snprintf(check, sizeof check, "%06o", sum);
  h.replace(148, 7, check, 7);
  return h;
}

std::string member(const std::string& name, const std::string& data, char type = '0') {
  return header(name, data.size(), type) + data +
         std::string((512 - data.size() % 512) % 512, '\0');
}

const std::string kEnd(1024, '\0');

TarReader open(const std::string& bytes) {
  auto reader = TarReader::open(file_of(bytes));
  if (!reader.ok()) FAIL(reader.error().text());
  return std::move(reader).value();
}

std::string error(const std::string& bytes) {
  const auto reader = TarReader::open(file_of(bytes));
  if (reader.ok()) return "(opened)";
  return std::string(to_string(reader.error().kind())) + ": " + reader.error().message();
}

}  // namespace

TEST_CASE("regular members are located in place") {
  const TarReader reader =
      open(member("sys_info", "abc") + member("./pickle", std::string(600, 'p')) +
           member("folder/", "", '5') + member("empty", "", '\0') + kEnd);
  REQUIRE(reader.members().size() == 3);
  CHECK(reader.members()[0].name == "sys_info");
  CHECK(reader.members()[0].offset == 512);
  CHECK(reader.members()[1].name == "pickle");
  CHECK(reader.find("pickle") == &reader.members()[1]);
  CHECK(reader.find("./pickle") == &reader.members()[1]);
  CHECK(reader.find("nothing") == nullptr);
  CHECK(as_text(*reader.view(*reader.find("sys_info"))) == "abc");
  CHECK(reader.find("empty")->size == 0);
}

TEST_CASE("long names come from pax and GNU headers") {
  const std::string name = std::string(150, 'n') + "/x";
  const std::string record = " path=" + name + "\n";
  const std::string pax = std::to_string(record.size() + 3) + record;
  const TarReader reader = open(member("PaxHeader", pax, 'x') + member("short", "1") +
                                member("././@LongLink", name + "2" + std::string(1, '\0'), 'L') +
                                member("short", "2") + member("short", "3") + kEnd);
  REQUIRE(reader.members().size() == 3);
  CHECK(reader.members()[0].name == name);
  CHECK(reader.members()[1].name == name + "2");
  CHECK(reader.members()[2].name == "short");
}

TEST_CASE("what no checkpoint has is refused") {
  CHECK_THAT(error(member("a", "1") + member("a", "2") + kEnd),
             Catch::Contains("second one called \"a\""));
  CHECK_THAT(error(member("./a", "1") + member("a", "2") + kEnd), Catch::Contains("second one"));
  CHECK_THAT(error(member("../a", "1") + kEnd), Catch::Contains("contains \"..\""));
  CHECK_THAT(error(member("/a", "1") + kEnd), Catch::Contains("begins with a slash"));
  CHECK_THAT(error(member("a\nb", "1") + kEnd), Catch::Contains("control byte"));
  CHECK_THAT(error(header("link", 0, '2') + kEnd),
             Catch::Contains("unsupported: the tar header at offset 0 is of type \"2\""));
  CHECK_THAT(error(header("hard", 0, '1') + kEnd), Catch::Contains("unsupported"));
  CHECK_THAT(error(member("a", "1")),
             Catch::Contains("no end mark: most likely a truncated download (1,024 bytes"));
  CHECK_THAT(error(header("a", 1 << 30) + kEnd),
             Catch::Contains("states 1073741824 bytes, more than the file has left"));
  CHECK_THAT(error(member("a", "1") + "junk"), Catch::Contains("offset 1024 is cut off"));
  CHECK_THAT(error(header("x", 70000, 'x') + std::string(80000, ' ')),
             Catch::Contains("more than 64 KiB"));
}

TEST_CASE("checksums and numbers are verified") {
  std::string bytes = member("a", "1") + kEnd;
  bytes[0] = 'b';
  CHECK_THAT(error(bytes), Catch::Contains("offset 0 has a wrong checksum"));
  CHECK_THAT(error(std::string(512, 'x')), Catch::Contains("wrong checksum"));
  for (const std::string pax :
       {"9 size=-1\n", "99 path=a\n", "path=a\n", "7 path\n", "0 x=\n", "3\n"}) {
    CHECK_THAT(error(member("PaxHeader", pax, 'x') + member("a", "1") + kEnd),
               Catch::Contains("pax header"));
  }
  CHECK_THAT(error(member("P", "29 size=18446744073709551615\n", 'x') + member("a", "1") + kEnd),
             Catch::Contains("more than the file has left"));
}

TEST_CASE("a tar file is recognised by its first block") {
  const std::string tar = member("a", "1");
  CHECK(TarReader::looks_like_tar(as_bytes(tar)));
  CHECK_FALSE(TarReader::looks_like_tar(as_bytes(std::string(512, '\0'))));
  CHECK_FALSE(TarReader::looks_like_tar(as_bytes(tar).first(511)));
}
