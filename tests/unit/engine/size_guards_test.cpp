#include "mlc/engine/size_guards.h"

#include <map>

#include <catch2/catch.hpp>

using namespace mlc;

namespace {

std::optional<std::string> broken(const std::vector<std::string>& codes,
                                  const std::map<std::string, int64_t>& first_sizes) {
  return SizeGuards(codes).broken(
      [&](std::string_view input, int64_t dim) -> std::optional<int64_t> {
        const auto at = first_sizes.find(std::string(input));
        if (at == first_sizes.end() || dim != 0) return std::nullopt;
        return at->second;
      });
}

}  // namespace

TEST_CASE("guards of torch.export hold or are named", "[engine]") {
  const std::vector<std::string> even = {"(L['x'].size()[0] % 2) == 0"};
  CHECK(!broken(even, {{"x", 4}}));
  CHECK(broken(even, {{"x", 5}}) == "(x.size(0) % 2) == 0");
  CHECK(!broken({"((-2) + L['x'].size()[0]) != 1"}, {{"x", 4}}));
  CHECK(broken({"((-2) + L['x'].size()[0]) != 1"}, {{"x", 3}}));
  CHECK(broken({"L['y'].size()[0] == (1 + L['x'].size()[0])"}, {{"x", 3}, {"y", 3}}));
  CHECK(!broken({"(4*max(1, L['x'].size()[0] // 2)) >= 8"}, {{"x", 5}}));
  CHECK(broken({"1 <= 2", "2 < 1"}, {}) == "2 < 1");
}

TEST_CASE("whole numbers are divided as in Python", "[engine]") {
  CHECK(!broken({"(-7) // 2 == -4"}, {}));
  CHECK(!broken({"(-7) % 2 == 1"}, {}));
  CHECK(!broken({"7 % (-2) == -1"}, {}));
  CHECK(!broken({"8 // (-1) == -8"}, {}));
}

TEST_CASE("guards that cannot be read or computed are left out", "[engine]") {
  CHECK(
      !broken({"", "isinstance(L['x'], Tensor)", "L['x'].dtype == 5", "1 ==", "1 == 2 == 3"}, {}));
  CHECK(!broken({"1 // 0 == 5", "1 % 0 == 5", "L['none'].size()[0] == 5"}, {}));
  CHECK(!broken({"999999999999999999 * 999999999999999999 == 1"}, {}));
  CHECK(!broken({std::string(5000, '(') + "1"}, {}));
  CHECK(!broken({"99999999999999999999 == 1"}, {}));
}
