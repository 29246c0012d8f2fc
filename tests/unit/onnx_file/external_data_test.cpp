#include "mlc/onnx_file/external_data.h"

#include "catch.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace mlc;

namespace {

/// A folder with w.bin of 100 bytes in it.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / ("onnx_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    std::ofstream(path_ / "w.bin") << std::string(100, 'w');
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  Result<uint64_t> check(OnnxExternal one) const {
    one.tensor = "w";
    const std::vector<OnnxExternal> all = {std::move(one)};
    return check_external_data(all, path_ / "m.onnx");
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("weights beside the model are counted") {
  const Folder folder;
  CHECK(*folder.check({"", "w.bin", 60, 40, 40}) == 100);
  CHECK(*folder.check({"", "./w.bin", 0, std::nullopt, 40}) == 100);
}

TEST_CASE("weights outside of the folder are refused") {
  const Folder folder;
  for (const char* location :
       {"/etc/passwd", "../w.bin", "a/../../w.bin", "", "*/_ORT_MEM_ADDR_/*"}) {
    const auto out = folder.check({"", location, 0, 4, 4});
    INFO(location);
    REQUIRE(!out.ok());
    CHECK(out.error().kind() == ErrorKind::corrupt);
  }
}

TEST_CASE("weights that are missing or cut off name tensor and file") {
  const Folder folder;
  const auto missing = folder.check({"", "other.bin", 0, 4, 4});
  REQUIRE(!missing.ok());
  CHECK(missing.error().kind() == ErrorKind::not_found);
  CHECK(missing.error().text().find("tensor \"w\"") != std::string::npos);
  const auto beyond = folder.check({"", "w.bin", 64, 40, 40});
  REQUIRE(!beyond.ok());
  CHECK(beyond.error().message() ==
        "tensor \"w\" lies in \"w.bin\" at 64, 40 bytes long, and the file has 100");
  CHECK(!folder.check({"", "w.bin", ~uint64_t{0}, 40, 40}).ok());
  CHECK(folder.check({"", "w.bin", 0, 39, 40}).error().message() ==
        "tensor \"w\" takes 40 bytes, and its place in \"w.bin\" has 39");
}
