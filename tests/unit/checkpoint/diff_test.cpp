#include "mlc/checkpoint/diff.h"

#include "catch.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>

namespace mlc {
namespace {

/// A checkpoint in memory, made tensor by tensor.
struct Side {
  std::unique_ptr<Checkpoint> checkpoint = std::make_unique<Checkpoint>();
  std::vector<NamedTensor> tensors;

  template <class T>
  Side& add(std::string name, DType dtype, const std::vector<T>& values,
            const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    std::string bytes(values.size() * sizeof(T), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    Storage storage;
    storage.dtype = dtype;
    storage.elements = static_cast<int64_t>(bytes.size() / element_bytes(dtype));
    storage.own = held_bytes(std::move(bytes));
    checkpoint->storages.push_back(storage);
    Tensor tensor;
    tensor.dtype = dtype;
    tensor.storage = static_cast<uint32_t>(checkpoint->storages.size() - 1);
    tensors.push_back({std::move(name), checkpoint->add_tensor(tensor, sizes, strides)});
    return *this;
  }
  Side& floats(std::string name, const std::vector<float>& values) {
    return add(std::move(name), DType::f32, values, {static_cast<int64_t>(values.size())}, {1});
  }
  Side& again(std::string name) {
    tensors.push_back({std::move(name), tensors.back().tensor});
    return *this;
  }
};

struct Listener : Reporter {
  uint64_t total = 0;
  std::atomic<uint64_t> done{0};
  bool stop = false;

  void begin(std::string_view, uint64_t bytes) override { total = bytes; }
  void advance(uint64_t bytes) override { done += bytes; }
  void end() override {}
  void warn(std::string) override {}
  void detail(std::string) override {}
  bool interrupted() const override { return stop; }
};

DiffOptions with_depth(DiffDepth depth) {
  DiffOptions options;
  options.depth = depth;
  return options;
}

DiffOptions whatever_type() {
  DiffOptions options;
  options.ignore_dtype = true;
  return options;
}

DiffReport diff(const Side& a, const Side& b, const DiffOptions& options = {}) {
  Listener listener;
  auto report = diff_tensors(*a.checkpoint, a.tensors, *b.checkpoint, b.tensors, options, listener);
  if (!report.ok()) FAIL(report.error().text());
  CHECK(listener.done.load() == listener.total);
  return std::move(*report);
}

/// "value w, only_in_b x".
std::string found(const DiffReport& report) {
  std::string text;
  for (const Difference& one : report.differences) {
    text += (text.empty() ? "" : ", ") + std::string(diff_kind_name(one.kind)) + " " + one.key;
  }
  return text;
}

TEST_CASE("keys are reported in the order of A, then those of B", "[diff]") {
  Side a;
  a.floats("z", {1}).floats("common", {1}).floats("a", {1});
  Side b;
  b.floats("new", {1}).floats("common", {2}).floats("also", {1});
  const DiffReport report = diff(a, b);
  CHECK(found(report) == "only_in_a z, value common, only_in_a a, only_in_b new, only_in_b also");
  CHECK(report.common == 1);
  CHECK(report.count(DiffKind::only_in_a) == 2);
  CHECK(found(diff(a, b, with_depth(DiffDepth::layouts))) ==
        "only_in_a z, only_in_a a, only_in_b new, only_in_b also");
}

TEST_CASE("each key has one difference: shape before type before value", "[diff]") {
  Side a;
  a.floats("shape", {1, 2}).floats("type", {1, 2}).floats("value", {1, 2});
  Side b;
  b.add<double>("shape", DType::f64, {1}, {1}, {1});
  b.add<double>("type", DType::f64, {1, 3}, {2}, {1}).floats("value", {1, 2.5});
  const DiffReport report = diff(a, b);
  REQUIRE(found(report) == "shape shape, dtype type, value value");
  CHECK_FALSE(report.differences[0].values);
  CHECK(report.differences[1].values->mismatches == 1);
  CHECK(report.differences[2].values->max_abs == 0.5);
  CHECK(found(diff(a, b, whatever_type())) == "shape shape, value type, value value");
  CHECK(found(diff(a, b, with_depth(DiffDepth::layouts))) == "shape shape, dtype type");
  CHECK(diff(a, b, with_depth(DiffDepth::keys)).equal());
}

TEST_CASE("strides do not count", "[diff]") {
  Side a;
  a.add<float>("w", DType::f32, {1, 2, 3, 4, 5, 6}, {2, 3}, {3, 1});
  Side b;
  b.add<float>("w", DType::f32, {1, 4, 2, 5, 3, 6}, {2, 3}, {1, 2});
  Side c;
  c.add<float>("w", DType::f32, {1, 4, 2, 5, 9, 6}, {2, 3}, {1, 2});
  CHECK(diff(a, b).equal());
  const DiffReport report = diff(a, c);
  REQUIRE(found(report) == "value w");
  CHECK(report.differences[0].values->first_mismatch.value() == 2);
}

TEST_CASE("equal values of other bytes are counted", "[diff]") {
  Side a;
  a.floats("zero", {0.0F}).floats("nan", {std::nanf("1")}).floats("same", {1});
  Side b;
  b.floats("zero", {-0.0F}).floats("nan", {std::nanf("2")}).floats("same", {1});
  const DiffReport report = diff(a, b);
  CHECK(report.equal());
  CHECK(report.value_equal == 2);
}

TEST_CASE("the answer does not depend on threads or pieces", "[diff]") {
  std::vector<float> values(size_t{9} << 20);  // 36 MiB
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1000);
  Side a;
  a.floats("w", values);
  values[5'000'000] += 0.25F;
  values.back() += 3;
  Side b;
  b.floats("w", values);
  std::optional<double> cosine;
  for (const unsigned threads : {1U, 4U}) {
    DiffOptions options;
    options.threads = threads;
    const DiffReport report = diff(a, b, options);
    REQUIRE(found(report) == "value w");
    const CompareResult& result = *report.differences[0].values;
    CHECK(result.count == values.size());
    CHECK(result.mismatches == 2);
    CHECK(result.first_mismatch.value() == 5'000'000);
    CHECK(result.max_abs == 3);
    REQUIRE(result.cosine);
    CHECK(*result.cosine == cosine.value_or(*result.cosine));
    cosine = result.cosine;
  }
}

TEST_CASE("a tensor under two names differs under both", "[diff]") {
  Side a;
  a.floats("x", {1, 2}).again("y");
  Side b;
  b.floats("x", {1, 3}).again("y");
  CHECK(found(diff(a, b)) == "value x, value y");
  Side untied;
  untied.floats("x", {1, 2}).floats("y", {1, 2});
  const DiffReport report = diff(a, untied);
  CHECK(report.equal());
  CHECK(report.shared_in_a == std::vector<std::vector<std::string>>{{"x", "y"}});
  CHECK(report.shared_in_b.empty());
}

TEST_CASE("what cannot be compared is never equal", "[diff]") {
  Side a;
  a.floats("w", {1});
  Side b;
  b.add<float>("w", DType::c64, {1, 0}, {1}, {1});
  CHECK(found(diff(a, b)) == "dtype w");
  const DiffReport report = diff(a, b, whatever_type());
  REQUIRE(found(report) == "uncompared w");
  CHECK(report.differences[0].reason == "f32 and c64 values cannot be compared");
  a.checkpoint->tensors[0].kind = TensorKind::other;
  CHECK(found(diff(a, a)) == "uncompared w");
}

TEST_CASE("a comparison can be interrupted", "[diff]") {
  Side a;
  a.floats("w", {1});
  Listener listener;
  listener.stop = true;
  const auto report =
      diff_tensors(*a.checkpoint, a.tensors, *a.checkpoint, a.tensors, {}, listener);
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().kind() == ErrorKind::interrupted);
}

}  // namespace
}  // namespace mlc
