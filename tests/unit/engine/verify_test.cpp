#include "mlc/engine/verify.h"

#include "catch.h"

#include <cstring>
#include <functional>
#include <limits>
#include <set>

using namespace mlc;

namespace {

using Function = std::function<Result<std::vector<NamedValue>>(std::span<const NamedValue>)>;

/// A model that a test writes down.
class WrittenModel : public Model {
 public:
  explicit WrittenModel(Function function) : function_(std::move(function)) {}
  const Signature& signature() const override { return signature_; }
  const std::string& device() const override { return device_; }
  Status set_inputs(std::span<const NamedValue> inputs) override {
    inputs_.assign(inputs.begin(), inputs.end());
    return {};
  }
  Status run() override {
    auto result = function_(inputs_);
    if (!result.ok()) return std::move(result).error();
    outputs_ = std::move(*result);
    return {};
  }
  Result<std::vector<NamedValue>> outputs() override { return outputs_; }
  Result<TraceFacts> write_torchscript(const TraceOptions&, const ByteSink&) override {
    return unsupported("a model of a test");
  }

 private:
  Function function_;
  Signature signature_;
  std::string device_ = "cpu";
  std::vector<NamedValue> inputs_;
  std::vector<NamedValue> outputs_;
};

Result<std::vector<NamedValue>> identity(std::span<const NamedValue> inputs) {
  return std::vector<NamedValue>(inputs.begin(), inputs.end());
}

/// One value larger than it should be.
Result<std::vector<NamedValue>> off_by_one(std::span<const NamedValue> inputs) {
  std::string bytes = *inputs[0].tensor.bytes;
  float first = 0;
  std::memcpy(&first, bytes.data(), sizeof first);
  first += 1;
  std::memcpy(bytes.data(), &first, sizeof first);
  MLC_TRY(HostTensor changed, make_host_tensor(DType::f32, inputs[0].tensor.sizes, bytes));
  return std::vector<NamedValue>{{inputs[0].name, std::move(changed)}};
}

/// A model that gives its input with another first value.
Function with_first(float first) {
  return [first](std::span<const NamedValue> inputs) -> Result<std::vector<NamedValue>> {
    std::string bytes = *inputs[0].tensor.bytes;
    std::memcpy(bytes.data(), &first, sizeof first);
    MLC_TRY(HostTensor changed, make_host_tensor(DType::f32, inputs[0].tensor.sizes, bytes));
    return std::vector<NamedValue>{{inputs[0].name, std::move(changed)}};
  };
}

std::vector<VerifyCase> cases(const std::vector<std::string>& texts, uint64_t samples) {
  return verify_cases(*parse_input_specs(texts), 5, samples);
}

Result<CaseResult> check(Model& a, Model& b, const VerifyCase& one, const VerifyGates& gates = {}) {
  return verify_case(a, b, one, gates, null_reporter());
}

}  // namespace

TEST_CASE("several values, and another size of each named dimension") {
  const auto all = cases({"x:f32[batch=2,seq=8..512,3]", "y:i64[batch=2,one=1..1]"}, 2);
  REQUIRE(all.size() == 4);
  CHECK(all[0].label == "seed 5");
  CHECK(all[1].label == "seed 6");
  CHECK(all[2].label == "seed 5, batch=3");
  CHECK(all[2].specs[0].sizes() == std::vector<int64_t>{3, 8, 3});
  CHECK(all[2].specs[1].sizes() == std::vector<int64_t>{3, 1});
  CHECK(all[3].label == "seed 5, seq=16");
  CHECK(all[0].seed != all[1].seed);
}

TEST_CASE("the ends of ranges, as far as inputs stay small") {
  const auto ends = [](const std::string& text, const std::set<std::string>& asked) {
    const std::vector<std::string> texts = {text};
    const auto specs = *parse_input_specs(texts);
    UpperEnds found = upper_ends(specs, verify_cases(specs, 0, 1), 0, asked);
    std::string out;
    for (const VerifyCase& one : found.cases) out += one.other_size + " ";
    for (const VerifyCase& one : found.too_large) out += "not " + one.other_size + " ";
    return out;
  };
  CHECK(ends("x:f32[batch=2,seq=1..100]", {}) == "seq=100 ");
  CHECK(ends("x:f32[batch=2,seq=1..2]", {}) == "");  // tried as the next size already
  CHECK(ends("x:f32[batch=1..1024,64]", {}) == "batch=1024 ");
  CHECK(ends("x:f32[batch=1..1048576]", {}) == "not batch=1048576 ");
  CHECK(ends("x:f32[batch=1..1048576]", {"batch"}) == "batch=1048576 ");
  CHECK(ends("x:f32[n=1000..70000]", {}) == "n=70000 ");  // seventy times what it is
  CHECK(ends("x:f32[batch=1..9000000]", {"batch"}) == "not batch=9000000 ");
}

TEST_CASE("equal models pass, a wrong value is found") {
  const auto all = cases({"x:f32[4]"}, 1);
  WrittenModel a(identity);
  WrittenModel same(identity);
  WrittenModel wrong(off_by_one);
  CHECK(check(a, same, all[0])->passed());
  const auto result = check(a, wrong, all[0]);
  CHECK(!result->passed());
  CHECK(result->first_failing == 0U);
  CHECK(result->comparison.outputs[0].values.max_abs == 1);
}

TEST_CASE("gates replace the tolerance") {
  const auto all = cases({"x:f32[1000]"}, 1);
  WrittenModel a(identity);
  WrittenModel wrong(off_by_one);
  VerifyGates gates;
  gates.cosine = 0.99;
  CHECK(check(a, wrong, all[0], gates)->passed());
  gates.cosine = 0.9999999;
  CHECK(!check(a, wrong, all[0], gates)->passed());
}

TEST_CASE("an infinity or a NaN that faces another value passes no gate", "[regression]") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto all = cases({"x:f32[2,4]"}, 1);
  WrittenModel plain(identity);
  WrittenModel infinite(with_first(kInfinity));
  WrittenModel negative(with_first(-kInfinity));
  WrittenModel nan(with_first(kNan));
  VerifyGates by_cosine;
  by_cosine.cosine = -1;
  VerifyGates by_top1;
  by_top1.top1 = 0;
  CHECK(!check(plain, infinite, all[0], by_cosine)->passed());
  CHECK(!check(infinite, plain, all[0], by_cosine)->passed());
  CHECK(!check(infinite, negative, all[0], by_cosine)->passed());
  CHECK(check(infinite, infinite, all[0], by_cosine)->passed());
  for (const VerifyGates& gates : {by_cosine, by_top1, VerifyGates()}) {
    CHECK(!check(plain, nan, all[0], gates)->passed());
    CHECK(!check(nan, plain, all[0], gates)->passed());
    CHECK(check(nan, nan, all[0], gates)->passed());
  }
}

TEST_CASE("inputs that only B refuses are an answer, those that A refuses an error") {
  const auto all = cases({"x:f32[4]"}, 1);
  const auto refuse = [](std::span<const NamedValue>) -> Result<std::vector<NamedValue>> {
    return usage_error("size 4 was baked in");
  };
  WrittenModel a(identity);
  WrittenModel b(refuse);
  CHECK(check(a, b, all[0])->failure == "size 4 was baked in");
  CHECK(!check(a, b, all[0])->passed());
  CHECK(check(b, a, all[0]).error().text() == "A at seed 5: size 4 was baked in");
}

TEST_CASE("a gate of top-1 agreement checks outputs without rows too") {
  const auto all = cases({"x:f32[4,1]"}, 1);
  WrittenModel a(identity);
  WrittenModel wrong(off_by_one);
  VerifyGates gates;
  gates.top1 = 0.9;
  CHECK(!check(a, wrong, all[0], gates)->passed());
  CHECK(check(a, a, all[0], gates)->passed());
}

TEST_CASE("models without outputs are not the same, there is nothing to compare") {
  const auto all = cases({"x:f32[4]"}, 1);
  WrittenModel empty([](auto) { return std::vector<NamedValue>(); });
  CHECK(check(empty, empty, all[0]).error().kind() == ErrorKind::unsupported);
}

TEST_CASE("another number of outputs is no refusal") {
  const auto all = cases({"x:f32[4]"}, 1);
  WrittenModel a(identity);
  WrittenModel two([](std::span<const NamedValue> inputs) -> Result<std::vector<NamedValue>> {
    return std::vector<NamedValue>{inputs[0], inputs[0]};
  });
  const auto result = check(a, two, all[0]);
  CHECK(result->failure == "1 output against 2 outputs");
  CHECK(!result->refused);
  CHECK(!result->passed());
}

TEST_CASE("a size that A refuses is not checked, one that was asked for is an error") {
  const auto all = cases({"x:f32[n=4]"}, 1);
  WrittenModel a([](std::span<const NamedValue> inputs) -> Result<std::vector<NamedValue>> {
    if (inputs[0].tensor.sizes[0] != 4) return usage_error("size 4 was baked in");
    return identity(inputs);
  });
  CHECK(check(a, a, all[0])->not_checked.empty());
  CHECK(check(a, a, all[1])->not_checked == "A refuses n=5: size 4 was baked in");
}
