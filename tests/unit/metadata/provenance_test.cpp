#include "mlc/metadata/provenance.h"

#include "catch.h"

#include <cstdio>
#include <fstream>

using namespace mlc;

namespace {

std::string digest_of(std::string_view text, size_t step) {
  auto sha = Sha256::create();
  REQUIRE(sha.ok());
  for (size_t i = 0; i < text.size(); i += step) {
    REQUIRE(sha->update(as_bytes(text.substr(i, step))).ok());
  }
  auto hex = sha->finish();
  REQUIRE(hex.ok());
  return *hex;
}

class Stopped : public Reporter {
 public:
  void begin(std::string_view, uint64_t total) override { total_ = total; }
  void advance(uint64_t amount) override { done_ += amount; }
  void end() override {}
  void warn(std::string) override {}
  void detail(std::string) override {}
  bool interrupted() const override { return done_ >= limit_; }

  uint64_t total_ = 0;
  uint64_t done_ = 0;
  uint64_t limit_ = UINT64_MAX;
};

}  // namespace

TEST_CASE("SHA-256 of the examples in FIPS 180-4") {
  CHECK(digest_of("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest_of("abc", 1) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of(std::string(1'000'000, 'a'), 999) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 of a file that is no multiple of the block") {
  const std::string path = "provenance_test.tmp";
  std::ofstream(path, std::ios::binary) << std::string(3'000'000, 'a');
  auto file = InputFile::open(path);
  REQUIRE(file.ok());
  Stopped reporter;
  auto hex = sha256_file(**file, reporter);
  REQUIRE(hex.ok());
  CHECK(*hex == digest_of(std::string(3'000'000, 'a'), 4096));
  CHECK(reporter.total_ == 3'000'000);
  CHECK(reporter.done_ == 3'000'000);

  reporter.done_ = 0;
  reporter.limit_ = 1;
  auto stopped = sha256_file(**file, reporter);
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().kind() == ErrorKind::interrupted);
  CHECK(reporter.done_ < 3'000'000);

  std::ofstream(path, std::ios::binary | std::ios::app) << "more";
  auto changed = sha256_file(**file, null_reporter());
  REQUIRE_FALSE(changed.ok());
  CHECK(changed.error().kind() == ErrorKind::read_failed);
  std::remove(path.c_str());
}

TEST_CASE("an empty file has a digest") {
  const std::string path = "provenance_empty.tmp";
  std::ofstream(path).flush();
  auto file = InputFile::open(path);
  REQUIRE(file.ok());
  CHECK(*sha256_file(**file, null_reporter()) == digest_of("", 1));
  std::remove(path.c_str());
}

TEST_CASE("without libcrypto the error names the package") {
  auto missing = Sha256::create("libcrypto-that-is-not-there.so");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().kind() == ErrorKind::unsupported);
  CHECK(missing.error().text() ==
        "cannot compute SHA-256: the library libcrypto-that-is-not-there.so is missing");
  CHECK(missing.error().hint() == "install OpenSSL 3 (Debian package libssl3)");
}
