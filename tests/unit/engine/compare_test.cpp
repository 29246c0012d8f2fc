#include "mlc/engine/compare.h"

#include "catch.h"

#include <cstring>
#include <limits>

using namespace mlc;

namespace {

NamedValue floats(const std::string& name, std::vector<int64_t> sizes,
                  const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {name, *make_host_tensor(DType::f32, std::move(sizes), std::move(bytes))};
}

}  // namespace

TEST_CASE("equal outputs") {
  const std::vector<NamedValue> a = {floats("x", {2, 2}, {1, 2, 4, 3})};
  const auto result = compare_outputs(a, a, {});
  REQUIRE(result.ok());
  CHECK(!result->first_diverging);
  CHECK(result->outputs[0].values.bit_equal);
  CHECK(result->outputs[0].top1 == 1.0);
}

TEST_CASE("the first diverging output, its distance and its top-1 agreement") {
  const std::vector<NamedValue> a = {floats("x", {1}, {1}), floats("y", {2, 2}, {1, 2, 4, 3})};
  const std::vector<NamedValue> b = {floats("x", {1}, {1}), floats("y", {2, 2}, {1, 2, 2, 3})};
  const auto result = compare_outputs(a, b, {});
  REQUIRE(result.ok());
  CHECK(result->first_diverging == 1U);
  CHECK(result->outputs[1].values.max_abs == 2);
  CHECK(result->outputs[1].top1 == 0.5);
  CHECK(!result->outputs[0].top1);
}

TEST_CASE("integers that differ are not close because they are large", "[regression]") {
  const auto one = [](DType dtype, std::string bytes) {
    return std::vector<NamedValue>{{"x", *make_host_tensor(dtype, {1}, std::move(bytes))}};
  };
  const OutputTolerances tolerances{{1e-5, 1e-4}, {0, 0}, true};
  const auto a = one(DType::i16, "\x20\x4e");  // 20000
  const auto b = one(DType::i16, "\x21\x4e");
  const auto compared = compare_outputs(a, b, tolerances);
  CHECK(compared->first_diverging == 0U);
  CHECK(compared->outputs[0].integers);
  CHECK(!compare_outputs(a, a, tolerances)->first_diverging);
  CHECK(!compare_outputs(a, b, {Tolerance{1, 0}})->first_diverging);
  const std::vector<NamedValue> real = {floats("x", {1}, {20000.5F})};
  CHECK(!compare_outputs(a, real, tolerances)->first_diverging);
  CHECK(!compare_outputs(a, real, tolerances)->outputs[0].integers);
}

TEST_CASE("a part of the largest value is allowed where bytes are rounded") {
  const auto infinite = std::numeric_limits<float>::infinity();
  const std::vector<NamedValue> a = {floats("x", {4}, {1, -20, 3, infinite})};
  const std::vector<NamedValue> near = {floats("x", {4}, {2.9F, -20, 3, infinite})};
  const std::vector<NamedValue> far = {floats("x", {4}, {3.1F, -20, 3, infinite})};
  const OutputTolerances tolerances{{1e-5, 0}, {0, 0}, true, 0.1};
  CHECK(compare_outputs(a, near, {{1e-5, 0}})->first_diverging == 0U);
  CHECK(!compare_outputs(a, near, tolerances)->first_diverging);
  CHECK(compare_outputs(a, near, tolerances)->outputs[0].tolerance.atol == 2);
  CHECK(compare_outputs(a, far, tolerances)->first_diverging == 0U);
  const NamedValue bytes{"x", *make_host_tensor(DType::u8, {1}, "\x20")};
  const NamedValue others{"x", *make_host_tensor(DType::u8, {1}, "\x21")};
  CHECK(compare_outputs(std::vector{bytes}, std::vector{others}, tolerances)->first_diverging ==
        0U);
}

TEST_CASE("names pair outputs in any order, positions where names differ") {
  const std::vector<NamedValue> a = {floats("x", {1}, {1}), floats("y", {1}, {2})};
  const std::vector<NamedValue> swapped = {floats("y", {1}, {2}), floats("x", {1}, {1})};
  CHECK(!compare_outputs(a, swapped, {})->first_diverging);
  const std::vector<NamedValue> renamed = {floats("p", {1}, {1}), floats("q", {1}, {2})};
  CHECK(!compare_outputs(a, renamed, {})->first_diverging);
  CHECK(compare_outputs(a, renamed, {})->outputs[0].name_b == "p");
}

TEST_CASE("outputs of one name are compared by position, and none is left out") {
  const std::vector<NamedValue> a = {floats("x", {1}, {1}), floats("x", {1}, {2})};
  const std::vector<NamedValue> b = {floats("x", {1}, {1}), floats("x", {1}, {9})};
  CHECK(compare_outputs(a, b, {})->first_diverging == 1U);
}

TEST_CASE("different shapes diverge, different counts cannot be compared") {
  const std::vector<NamedValue> a = {floats("x", {2}, {1, 2})};
  const std::vector<NamedValue> b = {floats("x", {1, 2}, {1, 2})};
  const auto result = compare_outputs(a, b, {});
  CHECK(result->first_diverging == 0U);
  CHECK(result->outputs[0].problem == "f32[2] against f32[1, 2]");
  CHECK(compare_outputs(a, std::vector<NamedValue>{}, {}).error().kind() == ErrorKind::conflict);
}

TEST_CASE("a NaN is the largest value of its row, as in torch.argmax") {
  const std::vector<NamedValue> a = {floats("x", {3}, {5, __builtin_nanf(""), 9})};
  const std::vector<NamedValue> b = {floats("x", {3}, {5, 10, 9})};
  CHECK(compare_outputs(a, b, {})->outputs[0].top1 == 1.0);
}
