// That time grows with the number of keys and not with its square. Processor time and a ratio, for
// builds with sanitizers and busy machines; how fast it is, benchmarks say.
#include "catch.h"
#include "keys/keys_testing.h"
#include "mlc/keys/prefix.h"

#include <algorithm>
#include <ctime>

using namespace keys_testing;

namespace {

Keys many(size_t count) {
  std::vector<std::string> list;
  for (size_t i = 0; i < count; ++i)
    list.push_back("module.encoder.layers." + std::to_string(i / 8) + ".attention.proj" +
                   std::to_string(i % 8) + ".weight");
  return Keys(list);
}

// Processor seconds of the fastest of three calls.
template <class Body>
double seconds(const Body& body) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t begin = std::clock();
    body();
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

double strip_seconds(size_t count) {
  const Keys keys = many(count);
  const auto info = keys.info();
  return seconds([&] {
    auto plan = mlc::plan_strip_prefix(info, {});
    REQUIRE(plan.ok());
    REQUIRE(plan->counts().renamed == count);
  });
}

double rename_seconds(size_t count) {
  const Keys keys = many(count);
  const auto info = keys.info();
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += "  - {regex: '^module\\.encoder\\.layers\\.(\\d*" + std::to_string(i) +
            ")\\.(.*)$', to: 'h.$1.$2'}\n";
  auto rules = mlc::RuleSet::parse(rule_file(text), "r.yaml");
  REQUIRE(rules.ok());
  return seconds([&] {
    auto plan = mlc::make_plan(info, *rules);
    REQUIRE(plan.ok());
    REQUIRE(plan->counts().renamed == count);
  });
}

}  // namespace

TEST_CASE("twenty times the keys take no hundred times as long") {
  const double strip = strip_seconds(40'000) / strip_seconds(2'000);
  const double rename = rename_seconds(40'000) / rename_seconds(2'000);
  INFO("strip x" << strip << ", 20 regexes x" << rename);
  CHECK(strip < 100);
  CHECK(rename < 100);
}
