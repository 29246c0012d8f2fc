#include "mlc/frontend/size_guards.h"

#include <limits>
#include <map>

#include <catch2/catch.hpp>

using namespace mlc;

namespace {

std::optional<std::string> broken(const std::vector<std::string>& codes,
                                  const std::map<std::string, int64_t>& first_sizes) {
  return SizeGuards(codes).broken(
      [&](std::string_view input, const std::optional<int64_t>& dim) -> std::optional<int64_t> {
        const auto at = first_sizes.find(std::string(input));
        if (at == first_sizes.end() || dim != 0) return std::nullopt;
        return at->second;
      });
}

}  // namespace

TEST_CASE("guards of torch.export hold or are named", "[frontend]") {
  const std::vector<std::string> even = {"(L['x'].size()[0] % 2) == 0"};
  CHECK(!broken(even, {{"x", 4}}));
  CHECK(broken(even, {{"x", 5}}) == "(x.size(0) % 2) == 0");
  CHECK(!broken({"((-2) + L['x'].size()[0]) != 1"}, {{"x", 4}}));
  CHECK(broken({"((-2) + L['x'].size()[0]) != 1"}, {{"x", 3}}));
  CHECK(broken({"L['y'].size()[0] == (1 + L['x'].size()[0])"}, {{"x", 3}, {"y", 3}}));
  CHECK(!broken({"(4*max(1, L['x'].size()[0] // 2)) >= 8"}, {{"x", 5}}));
  CHECK(broken({"1 <= 2", "2 < 1"}, {}) == "2 < 1");
}

TEST_CASE("guards in floating point, of conditions and of nested inputs", "[frontend]") {
  const std::vector<std::string> half = {"math.trunc(0.5*torch.sym_float(L['x'].size()[0])) == 3"};
  CHECK(!broken(half, {{"x", 6}}));
  CHECK(!broken(half, {{"x", 7}}));
  CHECK(broken(half, {{"x", 8}}) == "trunc(0.5*float(x.size(0))) == 3");
  CHECK(broken({"math.floor(0.29*torch.sym_float(L['x'].size()[0])) == 29"}, {{"x", 100}}));
  CHECK(!broken({"math.ceil((((-0.5) + torch.sym_float(L['x'].size()[0] // 8)) / 1.0)) >= 2"},
                {{"x", 16}}));
  CHECK(!broken({"torch.sym_float(L['x'].size()[0]) ** 0.5 == 3.0"}, {{"x", 9}}));
  CHECK(
      !broken({"L['x'].size()[0] == 1 or not (L['x'].size()[0] % 2 == 1 and 1 < 2)"}, {{"x", 4}}));
  CHECK(broken({"L['x'].size()[0] == 1 or not (L['x'].size()[0] % 2 == 1 and 1 < 2)"}, {{"x", 5}}));
  CHECK(broken({"L['kv'][0].size()[0] == 2"}, {{"kv_0", 3}}) == "kv_0.size(0) == 2");
  CHECK(broken({"L['a']['key'][1].size()[0] == 2"}, {{"a_key_1", 3}}) == "a_key_1.size(0) == 2");
  CHECK(!broken({"max(1, 2, L['x'].size()[0]) == 7"}, {{"x", 7}}));
}

TEST_CASE("guards that hold for no size of a range are told", "[frontend]") {
  const auto refuted = [](const std::string& code, double low, double high) {
    const std::vector<std::string> codes = {code};
    return SizeGuards(codes)
        .refuted([&](std::string_view, const std::optional<int64_t>&) {
          return std::optional(ir::RealRange{low, high});
        })
        .has_value();
  };
  const double most = std::numeric_limits<double>::infinity();
  const std::string half = "math.trunc(0.5*torch.sym_float(L['x'].size()[0])) == 3";
  CHECK(refuted(half, 8, most));
  CHECK(refuted(half, 0, 5));
  CHECK(!refuted(half, 7, most));
  CHECK(!refuted("L['x'].size()[0] % 2 == 1", 2, 3));
  CHECK(refuted("L['x'].size()[0] % 2 == 1", 2, 2));
  CHECK(refuted("L['x'].size()[0] + ((8 + (-1)*(L['x'].size()[0] % 8)) % 8) <= 8", 9, most));
  CHECK(!refuted("L['x'].size()[0] // 5000 == 7", 0, most));
  CHECK(refuted("not (L['x'].size()[0] < 4 or L['x'].size()[0] > 2)", 4, most));
  const std::string root = "math.trunc(torch.sym_float(L['x'].size()[0]) ** 0.5) == 2";
  CHECK(refuted(root, 10, most));
  CHECK(refuted(root, 9, 9));
  CHECK(!refuted(root, 8, most));
  CHECK(!refuted("4 // (L['x'].size()[0] - 3) == 9", 0, most));
}

TEST_CASE("whole numbers are divided as in Python", "[frontend]") {
  CHECK(!broken({"(-7) // 2 == -4"}, {}));
  CHECK(!broken({"(-7) % 2 == 1"}, {}));
  CHECK(!broken({"7 % (-2) == -1"}, {}));
  CHECK(!broken({"8 // (-1) == -8"}, {}));
}

TEST_CASE("guards that cannot be read or computed are left out", "[frontend]") {
  CHECK(
      !broken({"", "isinstance(L['x'], Tensor)", "L['x'].dtype == 5", "1 ==", "1 == 2 == 3"}, {}));
  CHECK(!broken({"1 // 0 == 5", "1 % 0 == 5", "L['none'].size()[0] == 5"}, {}));
  CHECK(!broken({"999999999999999999 * 999999999999999999 == 1"}, {}));
  CHECK(!broken({std::string(5000, '(') + "1"}, {}));
  CHECK(!broken({"99999999999999999999 == 1"}, {}));
}
