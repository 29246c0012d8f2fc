#include "mlc/compress/drop_search.h"

#include "catch.h"

#include <cmath>
#include <set>

using mlc::DropSearch;
using mlc::Error;
using mlc::ErrorKind;
using mlc::find_least_undone;
using mlc::Result;

TEST_CASE("the least number that will do is found with few runs") {
  for (size_t most = 0; most < 40; ++most) {
    for (size_t needed = 1; needed <= most + 1; ++needed) {
      std::set<size_t> asked;
      const auto drop = [&](size_t undone) -> Result<double> {
        REQUIRE(undone >= 1);
        REQUIRE(undone <= most);
        REQUIRE(asked.insert(undone).second);
        return undone >= needed ? 0.01 : 0.02;
      };
      const Result<DropSearch> found = find_least_undone(most, 0.01, drop);
      REQUIRE(found.ok());
      if (needed <= most) {
        REQUIRE(found->undone == needed);
      } else {
        REQUIRE_FALSE(found->undone);
      }
      size_t halvings = 1;
      while ((size_t{1} << halvings) < most + 1) ++halvings;
      REQUIRE(found->trail.size() <= halvings);
      REQUIRE(found->trail.size() == asked.size());
    }
  }
}

TEST_CASE("an answer was measured even where undoing more costs more") {
  const auto drop = [](size_t undone) -> Result<double> { return undone % 3 == 0 ? 0.0 : 1.0; };
  const Result<DropSearch> found = find_least_undone(8, 0.5, drop);
  REQUIRE(found.ok());
  if (found->undone) REQUIRE(*found->undone % 3 == 0);
}

TEST_CASE("what is no number never will do, and errors end the search") {
  const auto nan = [](size_t) -> Result<double> { return std::nan(""); };
  REQUIRE_FALSE(find_least_undone(5, 1, nan)->undone);
  const auto fails = [](size_t) -> Result<double> {
    return Error(ErrorKind::interrupted, "stopped");
  };
  REQUIRE_FALSE(find_least_undone(5, 1, fails).ok());
}
