#include "mlc/base/output_file.h"

#include "catch.h"
#include "mlc/base/in_place_file.h"
#include "temp_folder.h"

#include <sys/stat.h>
#include <unistd.h>

using namespace mlc;

TEST_CASE("nothing is visible before publish, nothing is left without it") {
  const TempFolder folder;
  const std::string path = folder.path + "/out";
  {
    auto out = OutputFile::create(path, {});
    REQUIRE(out.ok());
    REQUIRE(out->write("abc").ok());
    CHECK(folder.count() == 0);
  }
  CHECK(folder.count() == 0);
  auto out = OutputFile::create(path, {});
  REQUIRE(out->write("abc").ok());
  REQUIRE(out->write_zeros(2).ok());
  CHECK(out->position() == 5);
  REQUIRE(out->publish().ok());
  CHECK(folder.read("out") == std::string("abc\0\0", 5));
  CHECK(folder.count() == 1);
}

TEST_CASE("small and large writes keep their order") {
  const TempFolder folder;
  auto out = OutputFile::create(folder.path + "/out", {});
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(i % 3 == 0 ? 300'000 : 1000, static_cast<char>('a' + i % 26));
    REQUIRE(out->write(piece).ok());
    expected += piece;
  }
  const uint64_t hole = out->position();
  REQUIRE(out->skip(4).ok());
  REQUIRE(out->write("tail").ok());
  REQUIRE(out->write_at(hole, as_bytes("hole")).ok());
  REQUIRE(out->publish().ok());
  CHECK(folder.read("out") == expected + "holetail");
}

TEST_CASE("what exists is replaced only when asked, and keeps its mode") {
  const TempFolder folder;
  const std::string path = folder.file("out", "old");
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  CHECK(OutputFile::create(path, {}).error().kind() == ErrorKind::exists);
  auto out = OutputFile::create(path, {.replace = true, .sync = false, .mode = 0});
  REQUIRE(out->write("new").ok());
  CHECK(folder.read("out") == "old");
  REQUIRE(out->publish().ok());
  CHECK(folder.read("out") == "new");
  struct stat st {};
  REQUIRE(stat(path.c_str(), &st) == 0);
  CHECK((st.st_mode & 0777U) == 0640U);
  CHECK(folder.count() == 1);
}

TEST_CASE("a name that appears meanwhile is not overwritten") {
  const TempFolder folder;
  auto out = OutputFile::create(folder.path + "/out", {});
  REQUIRE(out->write("mine").ok());
  folder.file("out", "theirs");
  CHECK(out->publish().error().kind() == ErrorKind::exists);
  CHECK(folder.read("out") == "theirs");
}

TEST_CASE("what appeared meanwhile was not replaced though that was asked for") {
  const TempFolder folder;
  auto out = OutputFile::create(folder.path + "/out", {.replace = true, .sync = false, .mode = 0});
  REQUIRE(out->write("mine").ok());
  folder.file("out", "theirs");
  REQUIRE(out->publish().ok());
  CHECK(folder.read("out") == "mine");
  CHECK(folder.count() == 1);
}

TEST_CASE("a symbolic link stays, its target is replaced") {
  const TempFolder folder;
  folder.file("real", "old");
  REQUIRE(symlink("real", (folder.path + "/link").c_str()) == 0);
  auto out = OutputFile::create(folder.path + "/link", {.replace = true, .sync = false, .mode = 0});
  REQUIRE(out->write("new").ok());
  REQUIRE(out->publish().ok());
  CHECK(folder.read("real") == "new");
  CHECK(std::filesystem::is_symlink(folder.path + "/link"));
}

TEST_CASE("ranges of a file are copied by the kernel") {
  const TempFolder folder;
  const auto in = InputFile::open(folder.file("in", "0123456789"));
  auto out = OutputFile::create(folder.path + "/out", {});
  REQUIRE(out->write("<").ok());
  REQUIRE(out->copy_from(**in, 2, 5).ok());
  REQUIRE(out->write(">").ok());
  REQUIRE(out->publish().ok());
  CHECK(folder.read("out") == "<23456>");
}

TEST_CASE("a file with several names is edited in place only when asked") {
  const TempFolder folder;
  const std::string path = folder.file("a", "data");
  REQUIRE(link(path.c_str(), (folder.path + "/b").c_str()) == 0);
  const auto in = InputFile::open(path);
  CHECK(InPlaceFile::open(**in, false).error().kind() == ErrorKind::write_failed);
  CHECK(InPlaceFile::open(**in, true).ok());
}

TEST_CASE("a file that changed since it was read is not edited") {
  const TempFolder folder;
  const std::string path = folder.file("a", "data");
  const auto in = InputFile::open(path);
  folder.file("a", "other data");
  CHECK(InPlaceFile::open(**in, false).error().kind() == ErrorKind::write_failed);
}
