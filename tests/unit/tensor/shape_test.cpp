#include "mlc/tensor/shape.h"

#include "catch.h"

#include <limits>

using namespace mlc;

namespace {

using Sizes = std::vector<int64_t>;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::string refusal(const Sizes& sizes, const Sizes& strides, int64_t offset, int64_t elements) {
  const auto result = checked_extent(sizes, strides, offset, elements);
  REQUIRE(!result.ok());
  CHECK(result.error().kind() == ErrorKind::corrupt);
  return result.error().message();
}

}  // namespace

TEST_CASE("element counts are products", "[shape]") {
  CHECK(element_count(Sizes{}) == 1);
  CHECK(element_count(Sizes{2, 3, 4}) == 24);
  CHECK(element_count(Sizes{2, 0, 4}) == 0);
  CHECK(element_count(Sizes{kMax}) == kMax);
}

TEST_CASE("hostile sizes have no element count", "[shape]") {
  CHECK(!element_count(Sizes{-1}));
  CHECK(!element_count(Sizes{0, -1}));
  CHECK(!element_count(Sizes{int64_t{1} << 40, int64_t{1} << 40}));
  CHECK(!element_count(Sizes{0, int64_t{1} << 40, int64_t{1} << 40}));
  CHECK(!element_count(Sizes{int64_t{1} << 40, int64_t{1} << 40, 0}));
  CHECK(!element_count(Sizes{kMax, 2}));
}

TEST_CASE("contiguous strides are PyTorch's", "[shape]") {
  CHECK(contiguous_strides(Sizes{}) == Sizes{});
  CHECK(contiguous_strides(Sizes{5}) == Sizes{1});
  CHECK(contiguous_strides(Sizes{2, 3, 4}) == Sizes{12, 4, 1});
  CHECK(contiguous_strides(Sizes{2, 0, 4}) == Sizes{4, 4, 1});  // torch.empty(2, 0, 4).stride()
  CHECK(contiguous_strides(Sizes{kMax, kMax, kMax}).size() == 3);
}

TEST_CASE("contiguity ignores strides of single steps", "[shape]") {
  CHECK(is_contiguous(Sizes{}, Sizes{}));
  CHECK(is_contiguous(Sizes{2, 3}, Sizes{3, 1}));
  CHECK(is_contiguous(Sizes{2, 1, 3}, Sizes{3, 99, 1}));
  CHECK(is_contiguous(Sizes{1, 1}, Sizes{7, 7}));
  CHECK(is_contiguous(Sizes{4, 0}, Sizes{17, 5}));
  CHECK(!is_contiguous(Sizes{2, 3}, Sizes{1, 2}));
  CHECK(!is_contiguous(Sizes{2, 3}, Sizes{4, 1}));
  CHECK(!is_contiguous(Sizes{2, 3}, Sizes{0, 1}));
  CHECK(!is_contiguous(Sizes{2, 3}, Sizes{3}));
}

TEST_CASE("extents cover what a view touches", "[shape]") {
  const auto range = checked_extent(Sizes{2, 3}, Sizes{1, 4}, 5, 15);
  REQUIRE(range.ok());
  CHECK(range->first == 5);
  CHECK(range->last == 5 + 1 + 8 + 1);
  const auto scalar = checked_extent(Sizes{}, Sizes{}, 3, 4);
  REQUIRE(scalar.ok());
  CHECK(scalar->first == 3);
  CHECK(scalar->last == 4);
  const auto expanded = checked_extent(Sizes{int64_t{1} << 40}, Sizes{0}, 0, 1);
  REQUIRE(expanded.ok());
  CHECK(expanded->last == 1);
}

TEST_CASE("tensors without elements may lie anywhere", "[shape]") {
  CHECK(checked_extent(Sizes{0, 3}, Sizes{3, 1}, 99, 12).ok());
  CHECK(checked_extent(Sizes{0}, Sizes{1}, kMax, 0).ok());
  CHECK(checked_extent(Sizes{0}, Sizes{1}, -1, 0).ok());
}

TEST_CASE("hostile extents are refused with their numbers", "[shape]") {
  CHECK(
      refusal({2, 3}, {3, 1}, 0, 5) ==
      "shape [2, 3] with strides [3, 1] at offset 0 reaches beyond the 5 elements of its storage");
  CHECK(refusal({}, {}, 0, 0).find("beyond the 0 elements") != std::string::npos);
  CHECK(refusal({1}, {1}, kMax, kMax).find("beyond") != std::string::npos);
  CHECK(refusal({2}, {kMax}, kMax, kMax).find("beyond") != std::string::npos);
  CHECK(refusal({int64_t{1} << 62}, {int64_t{1} << 62}, 0, kMax).find("beyond") !=
        std::string::npos);
  CHECK(refusal({2}, {1}, -1, 5) == "storage offset -1 is negative");
  CHECK(refusal({2, -3}, {3, 1}, 0, 5) == "size -3 of dimension 1 is negative");
  CHECK(refusal({2, 3}, {-3, 1}, 0, 5) == "stride -3 of dimension 0 is negative");
  CHECK(refusal({2, 3}, {1}, 0, 5) == "shape has 2 dimensions, but there are 1 strides");
  CHECK(refusal({int64_t{1} << 40, int64_t{1} << 40}, {0, 0}, 0, 1).find("64 bits") !=
        std::string::npos);
  CHECK(refusal(Sizes(65, 1), Sizes(65, 1), 0, 1).find("65 dimensions") != std::string::npos);
}

TEST_CASE("shapes are written as PyTorch writes them", "[shape]") {
  CHECK(format_shape(Sizes{}) == "[]");
  CHECK(format_shape(Sizes{64, 3, 7, 7}) == "[64, 3, 7, 7]");
}
