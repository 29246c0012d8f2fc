#include "mlc/base/parallel.h"

#include "catch.h"

#include <atomic>
#include <new>
#include <vector>

using namespace mlc;

TEST_CASE("every index runs once") {
  for (const unsigned threads : {1U, 2U, 7U}) {
    std::vector<std::atomic<int>> seen(1000);
    REQUIRE(parallel_for(seen.size(), threads, [&](size_t i) {
              ++seen[i];
              return Status();
            }).ok());
    for (const auto& count : seen) CHECK(count == 1);
  }
  CHECK(parallel_for(0, 4, [](size_t) -> Status { return corrupt("never"); }).ok());
}

TEST_CASE("the first failure is returned") {
  const Status status = parallel_for(100, 4, [](size_t i) -> Status {
    if (i == 5) return corrupt("five");
    return {};
  });
  REQUIRE(!status.ok());
  CHECK(status.error().message() == "five");
}

TEST_CASE("a thread without memory ended the process") {
  const Status status = parallel_for(100, 4, [](size_t) -> Status { throw std::bad_alloc(); });
  REQUIRE(!status.ok());
  CHECK(status.error().kind() == ErrorKind::read_failed);
  CHECK(status.error().text().find("not enough memory") != std::string::npos);
}
