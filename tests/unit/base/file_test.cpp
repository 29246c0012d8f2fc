#include "mlc/base/file.h"

#include "catch.h"
#include "temp_folder.h"

#include <sys/stat.h>

using namespace mlc;

TEST_CASE("a file is read by range and by mapping") {
  const TempFolder folder;
  const auto file = InputFile::open(folder.file("a", "hello world"));
  REQUIRE(file.ok());
  CHECK((*file)->size() == 11);
  CHECK(*(*file)->read_string(6, 5) == "world");
  CHECK(as_text(*(*file)->map()) == "hello world");
  (*file)->forget(3, 100);
  CHECK(as_text(*(*file)->map()) == "hello world");
  CHECK((*file)->unchanged());
}

TEST_CASE("a range beyond the end is refused before anything is allocated") {
  const TempFolder folder;
  const auto file = InputFile::open(folder.file("a", "hello"));
  CHECK((*file)->read_string(3, 3).error().kind() == ErrorKind::corrupt);
  CHECK((*file)->read_string(UINT64_MAX, 2).error().kind() == ErrorKind::corrupt);
  CHECK((*file)->read_string(0, UINT64_MAX).error().kind() == ErrorKind::corrupt);
}

TEST_CASE("folders, pipes and missing files are refused without hanging") {
  const TempFolder folder;
  CHECK(InputFile::open(folder.path).error().kind() == ErrorKind::read_failed);
  CHECK(InputFile::open(folder.path + "/no").error().kind() == ErrorKind::not_found);
  REQUIRE(mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  CHECK(InputFile::open(folder.path + "/pipe").error().kind() == ErrorKind::read_failed);
}

TEST_CASE("an empty file maps to no bytes, a changed one is noticed") {
  const TempFolder folder;
  const auto file = InputFile::open(folder.file("a", ""));
  CHECK((*file)->map()->empty());
  folder.file("a", "now something");
  CHECK(!(*file)->unchanged());
}
