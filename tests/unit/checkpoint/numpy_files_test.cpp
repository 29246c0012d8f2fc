#include "mlc/tensor/npy.h"
#include "zip_of.h"

namespace mlc::test {
namespace {

std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  return "\x93NUMPY\x01" + std::string(1, '\0') + little(header.size(), 2) + header + data;
}

TEST_CASE("an array is named after its file") {
  const ScratchFolder folder;
  write_file(folder / "name.npy", npy("<i2", "(2,)", "abcd"));
  const auto opened = open_checkpoint(folder / "name.npy");
  REQUIRE(opened.ok());
  CHECK((*opened)->format == Format::npy);
  CHECK(all_tensors(**opened, (*opened)->root)[0].path == "name");
}

TEST_CASE("arrays that lie are named") {
  CHECK(error_of(npy("<i4", "(2,)", "abcd")).find("needs 8 bytes, 4 are there") !=
        std::string::npos);
  CHECK(error_of(npy("|O", "(2,)", "abcd")).find("unsupported") == 0);
  const std::string error = error_of_zip("", {{"bad.npy", npy("|O", "(1,)", "x")}});
  CHECK(error.find("unsupported: array \"bad\"") == 0);
  CHECK(error_of_zip("", {{"bad.npy", "junk"}}).find("array \"bad\"") != std::string::npos);
}

TEST_CASE("a pickled array beside good ones is left out with a warning") {
  const auto checkpoint =
      open_zip("", {{"good.npy", npy("<i2", "(2,)", "abcd")}, {"bad.npy", npy("|O", "(1,)", "x")}});
  CHECK(all_tensors(*checkpoint, checkpoint->root).size() == 1);
  REQUIRE(checkpoint->warnings.size() == 1);
  CHECK(checkpoint->warnings[0].find("array \"bad\" is left out: ") == 0);
}

TEST_CASE("bytes behind an array are a warning") {
  const auto checkpoint = open_bytes(npy("<i2", "(2,)", "abcdX"));
  CHECK(checkpoint->warnings ==
        std::vector<std::string>{"array \"file\" has 1 byte behind its data"});
}

TEST_CASE("stored arrays lie in the file, deflated ones in memory") {
  const auto stored = open_checkpoint(fixture("stored.npz"));
  const auto deflated = open_checkpoint(fixture("deflated.npz"));
  REQUIRE(stored.ok());
  REQUIRE(deflated.ok());
  CHECK((*stored)->storages[0].file == 0);
  CHECK((*deflated)->storages[0].memory() != nullptr);
}

}  // namespace
}  // namespace mlc::test
