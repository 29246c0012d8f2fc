#include "catch.h"
#include "mlc/base/result.h"
#include "mlc/base/source_text.h"

#include <cerrno>

using namespace mlc;

namespace {
Result<int> half(int value) {
  if (value % 2 != 0) return corrupt("is odd", "use an even number");
  return value / 2;
}
Result<int> quarter(int value) {
  MLC_TRY_CTX(const int once, half(value), "halving once");
  MLC_TRY_CTX(const int twice, half(once), "halving twice");
  return twice;
}
}  // namespace

TEST_CASE("an error collects what the layers did, outermost first") {
  const auto result = quarter(6);
  REQUIRE(!result.ok());
  CHECK(result.error().text() == "halving twice: is odd");
  CHECK(result.error().hint() == "use an even number");
  CHECK(result.error().kind() == ErrorKind::corrupt);
  CHECK(*quarter(8) == 2);
}

TEST_CASE("the innermost file and hint win") {
  Error error = std::move(corrupt("bad").in_file("inner.pt")).in_file("outer.pt");
  CHECK(error.file() == "inner.pt");
  Error hinted = std::move(corrupt("bad").with_hint("first")).with_hint("second");
  CHECK(hinted.hint() == "first");
}

TEST_CASE("system errors know missing files and existing outputs") {
  CHECK(read_failed("cannot open", ENOENT).kind() == ErrorKind::not_found);
  CHECK(read_failed("cannot open", EACCES).kind() == ErrorKind::read_failed);
  CHECK(read_failed("cannot open", EACCES).hint().empty());
  CHECK(read_failed("cannot open", EMFILE).hint().find("ulimit -n") != std::string::npos);
  CHECK(write_failed("cannot open", EMFILE).hint().find("ulimit -n") != std::string::npos);
  CHECK(write_failed("cannot write", EEXIST).kind() == ErrorKind::exists);
  CHECK(write_failed("cannot write", ENOSPC).message() == "cannot write: No space left on device");
}

TEST_CASE("an error in a text shows the line and a caret") {
  const Error error = error_at(ErrorKind::usage, "a.yaml", "one\ntwo: x\nthree", 2, 6, "no x here");
  CHECK(error.message() == "2:6: no x here\n  two: x\n       ^");
  CHECK(error.file() == "a.yaml");
  // A column behind the line and a line behind the text must not read outside.
  CHECK(error_at(ErrorKind::usage, "a", "ab", 1, 99, "m").message() == "1:99: m\n  ab\n    ^");
  CHECK(error_at(ErrorKind::usage, "a", "ab", 9, 1, "m").message() == "9:1: m");
  CHECK(error_at(ErrorKind::usage, "a", "", 1, 1, "m").message() == "1:1: m");
}
