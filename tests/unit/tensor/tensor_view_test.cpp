#include "mlc/tensor/tensor_view.h"

#include "catch.h"

#include <algorithm>
#include <cmath>
#include <random>

using namespace mlc;

namespace {

using Sizes = std::vector<int64_t>;

// The definition: every element by its own index computation.
std::string slow_contiguous(const TensorView& view) {
  std::string out;
  const size_t bytes = element_bytes(view.dtype);
  Sizes index(view.sizes.size(), 0);
  for (uint64_t n = 0; n < view.count(); ++n) {
    int64_t at = view.offset;
    for (size_t i = 0; i < index.size(); ++i) at += index[i] * view.strides[i];
    out += as_text(view.storage.subspan(static_cast<size_t>(at) * bytes, bytes));
    for (size_t i = index.size(); i-- > 0;) {
      if (++index[i] < view.sizes[i]) break;
      index[i] = 0;
    }
  }
  return out;
}

std::string counting_storage(size_t bytes) {
  std::string out(bytes, '\0');
  std::mt19937 random(7);
  std::ranges::generate(out, [&] { return static_cast<char>(random()); });
  return out;
}

void check_against_definition(DType dtype, const Sizes& sizes, const Sizes& strides,
                              int64_t offset) {
  const auto range = checked_extent(sizes, strides, offset, int64_t{1} << 40);
  REQUIRE(range.ok());
  const std::string storage =
      counting_storage(static_cast<size_t>(range->last) * element_bytes(dtype));
  const TensorView view{dtype, sizes, strides, offset, as_bytes(storage)};
  INFO(info(dtype).torch << " " << format_shape(sizes) << " " << format_shape(strides));
  const auto got = contiguous_bytes(view, 1 << 30);
  REQUIRE(got.ok());
  CHECK((*got == slow_contiguous(view)));
}

}  // namespace

TEST_CASE("strided views are packed in row-major order", "[tensor_view]") {
  for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64, DType::c128}) {
    check_against_definition(dtype, {}, {}, 3);
    check_against_definition(dtype, {5, 7}, {1, 5}, 2);                // transposed
    check_against_definition(dtype, {300, 70}, {1, 300}, 0);           // more than one tile
    check_against_definition(dtype, {2, 3, 5, 4}, {60, 1, 12, 3}, 0);  // channels_last
    check_against_definition(dtype, {3, 4}, {0, 1}, 1);                // expanded rows
    check_against_definition(dtype, {3, 4}, {1, 0}, 1);
    check_against_definition(dtype, {3, 4}, {0, 0}, 1);
    check_against_definition(dtype, {4, 5}, {20, 3}, 1);  // sliced
    check_against_definition(dtype, {2, 1, 3, 1, 4}, {1, 9, 8, 9, 2}, 0);
    check_against_definition(dtype, {4, 4}, {1, 1}, 0);  // overlapping
  }
}

TEST_CASE("random views agree with the definition", "[tensor_view]") {
  std::mt19937 random(20240501);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int round = 0; round < 200; ++round) {
    Sizes sizes(static_cast<size_t>(pick(0, 5)));
    for (auto& size : sizes) size = pick(1, 6);
    Sizes strides = contiguous_strides(sizes);
    std::ranges::shuffle(strides, random);
    if (!strides.empty() && pick(0, 3) == 0) strides[0] = pick(0, 9);
    check_against_definition(round % 2 == 0 ? DType::i16 : DType::c64, sizes, strides, pick(0, 4));
  }
}

TEST_CASE("blocks are bounded, whole and in order", "[tensor_view]") {
  const Sizes sizes = {1031, 1033};
  const Sizes transposed = {1, 1031};
  const Sizes plain = {1033, 1};
  const std::string storage = counting_storage(1031 * 1033 * 4);
  for (const Sizes& strides : {plain, transposed}) {
    const TensorView view{DType::f32, sizes, strides, 0, as_bytes(storage)};
    std::string joined;
    size_t calls = 0;
    REQUIRE(for_each_block(view, [&](Bytes block) {
              CHECK(block.size() <= size_t{1} << 20);
              CHECK(block.size() % 4 == 0);
              joined += as_text(block);
              ++calls;
              return Status();
            }).ok());
    CHECK(calls == 5);
    CHECK((joined == slow_contiguous(view)));
  }
}

TEST_CASE("plain views are passed without a copy", "[tensor_view]") {
  const std::string storage = counting_storage(64);
  const Sizes sizes = {3, 4};
  const Sizes strides = {4, 1};
  const TensorView view{DType::f32, sizes, strides, 2, as_bytes(storage)};
  REQUIRE(view.is_plain());
  CHECK(view.count() == 12);
  CHECK(view.byte_size() == 48);
  CHECK(view.plain_bytes().data() == as_bytes(storage).data() + 8);
  REQUIRE(for_each_block(view, [&](Bytes block) {
            CHECK(block.data() == as_bytes(storage).data() + 8);
            CHECK(block.size() == 48);
            return Status();
          }).ok());
}

TEST_CASE("a sink's error ends the walk", "[tensor_view]") {
  const std::string storage = counting_storage(1);
  const Sizes sizes = {int64_t{1} << 40};
  const Sizes strides = {0};
  int calls = 0;
  const Status status =
      for_each_block({DType::u8, sizes, strides, 0, as_bytes(storage)}, [&](Bytes) -> Status {
        if (++calls == 3) return corrupt("enough");
        return {};
      });
  REQUIRE(!status.ok());
  CHECK(status.error().message() == "enough");
  CHECK(calls == 3);
}

TEST_CASE("expanded giants are not materialised beyond the budget", "[tensor_view]") {
  const std::string storage(8, 'x');
  const Sizes sizes = {int64_t{1} << 62};
  const Sizes strides = {0};
  const TensorView view{DType::f64, sizes, strides, 0, as_bytes(storage)};
  CHECK(view.byte_size() == UINT64_MAX);
  const auto bytes = contiguous_bytes(view, 1 << 20);
  REQUIRE(!bytes.ok());
  CHECK(bytes.error().kind() == ErrorKind::unsupported);
  CHECK(bytes.error().message().find("[4611686018427387904]") != std::string::npos);
}

TEST_CASE("tensors without elements have no bytes whatever their offset", "[tensor_view]") {
  const Sizes sizes = {2, 0, 4};
  const Sizes strides = {3, 1, 1};
  const TensorView view{DType::f32, sizes, strides, 99, {}};
  CHECK(view.is_plain());
  CHECK(view.plain_bytes().empty());
  const auto bytes = contiguous_bytes(view, 0);
  REQUIRE(bytes.ok());
  CHECK(bytes->empty());
}

TEST_CASE("conjugate and negative bits change signs", "[tensor_view]") {
  const float values[] = {1, 2, -3, 0};
  const Bytes storage = std::as_bytes(std::span(values));
  const Sizes two = {2};
  const Sizes four = {4};
  const Sizes one = {1};
  const auto floats = [](const TensorView& view) {
    const auto bytes = contiguous_bytes(view, 1000);
    REQUIRE(bytes.ok());
    std::vector<float> out(bytes->size() / 4);
    std::memcpy(out.data(), bytes->data(), bytes->size());
    return out;
  };
  const TensorView conjugated{DType::c64, two, one, 0, storage, true, false};
  CHECK(!conjugated.is_plain());
  CHECK(floats(conjugated) == std::vector<float>{1, -2, -3, -0.0F});
  const TensorView negated{DType::f32, four, one, 0, storage, false, true};
  CHECK(floats(negated) == std::vector<float>{-1, -2, 3, -0.0F});
  CHECK(std::signbit(floats(negated)[3]));
  const TensorView both{DType::c64, two, one, 0, storage, true, true};
  CHECK(floats(both) == std::vector<float>{-1, 2, 3, 0});
  const TensorView odd{DType::i32, four, one, 0, storage, false, true};
  CHECK(contiguous_bytes(odd, 1000).error().kind() == ErrorKind::unsupported);
}

TEST_CASE("readers hand out any number of elements", "[tensor_view]") {
  const std::string storage = counting_storage(24 * 2);
  const Sizes sizes = {4, 6};
  for (const Sizes& strides : {Sizes{6, 1}, Sizes{1, 4}}) {
    const TensorView view{DType::i16, sizes, strides, 0, as_bytes(storage)};
    auto reader = ViewReader::open(view);
    REQUIRE(reader.ok());
    std::string joined;
    for (const uint64_t count : {uint64_t{1}, uint64_t{7}, uint64_t{0}, uint64_t{12}, UINT64_MAX}) {
      joined += as_text(reader->next(count));
    }
    CHECK((joined == slow_contiguous(view)));
    CHECK(reader->next(1).empty());
  }
}
