#include "mlc/engine/measure.h"

#include "catch.h"

using namespace mlc;

namespace {

class CountingModel : public Model {
 public:
  const Signature& signature() const override { return signature_; }
  const std::string& device() const override { return device_; }
  Status set_inputs(std::span<const NamedValue> /*inputs*/) override { return {}; }
  Status run() override { return ++calls == fail_at ? Status(usage_error("refused")) : Status(); }
  Result<std::vector<NamedValue>> outputs() override { return std::vector<NamedValue>(); }
  Result<TraceFacts> write_torchscript(const TraceOptions&, const ByteSink&) override {
    return unsupported("a model of a test");
  }

  uint64_t calls = 0;
  uint64_t fail_at = 0;

 private:
  Signature signature_;
  std::string device_ = "cpu";
};

}  // namespace

TEST_CASE("the first call and the warm-up do not count") {
  CountingModel model;
  const auto result = measure(model, {.warmup = 3, .runs = 5}, null_reporter());
  REQUIRE(result.ok());
  CHECK(result->samples.size() == 5);
  CHECK(model.calls == 9);
  CHECK(std::is_sorted(result->samples.begin(), result->samples.end()));
}

TEST_CASE("time decides where no number is given, between 10 and 100,000 calls") {
  CountingModel model;
  CHECK(measure(model, {.seconds = 1e-9}, null_reporter())->samples.size() == 10);
  CHECK(measure(model, {.seconds = 1e9}, null_reporter())->samples.size() == 100'000);
}

TEST_CASE("an error of the model ends the measurement") {
  CountingModel model;
  model.fail_at = 4;
  CHECK(measure(model, {.warmup = 1, .runs = 5}, null_reporter()).error().message() == "refused");
}

TEST_CASE("percentiles are samples, by nearest rank") {
  const std::vector<double> samples = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  CHECK(percentile(samples, 50) == 5);
  CHECK(percentile(samples, 90) == 9);
  CHECK(percentile(samples, 99) == 10);
  CHECK(percentile(samples, 0.001) == 1);
  CHECK(percentile(std::vector<double>{7}, 50) == 7);
  CHECK(mean(samples) == 5.5);
}
