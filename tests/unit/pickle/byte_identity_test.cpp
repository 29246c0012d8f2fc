// What CPython's pickler wrote must come out of read() and write() byte for byte.
#include "catch.h"
#include "fixtures.h"
#include "mlc/pickle/reader.h"
#include "mlc/pickle/writer.h"

#include <algorithm>

namespace mlc::pickle {
namespace {

// "at byte 12: 71 05 68 | 71 06 68", for the message of a failed comparison.
std::string first_difference(std::string_view actual, std::string_view expected) {
  const auto mismatch = std::ranges::mismatch(actual, expected);
  const auto at = static_cast<size_t>(mismatch.in1 - actual.begin());
  const auto around = [at](std::string_view text) {
    std::string out;
    for (size_t i = at < 8 ? 0 : at - 8; i < std::min(text.size(), at + 16); ++i) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "%02x ", static_cast<unsigned char>(text[i]));
      out += i == at ? "[" : "";
      out += hex;
    }
    return out;
  };
  return "at byte " + std::to_string(at) + ": " + around(actual) + "| " + around(expected);
}

TEST_CASE("pickles of Python and PyTorch are written as Python writes them") {
  const auto fixtures = load_fixtures();
  REQUIRE(fixtures.size() > 90);
  for (const Fixture& fixture : fixtures) {
    DYNAMIC_SECTION(fixture.name) {
      Graph graph;
      const auto read_result = read(as_bytes(fixture.input), graph);
      if (!read_result.ok()) FAIL(read_result.error().text());
      CHECK(read_result.value().size == fixture.input.size());
      CHECK(read_result.value().warnings.empty());
      const auto written = write(graph, read_result.value().root);
      if (!written.ok()) FAIL(written.error().text());
      INFO(first_difference(written.value(), fixture.expected));
      CHECK((written.value() == fixture.expected));
    }
  }
}

TEST_CASE("writing twice gives the same bytes, and they read back") {
  for (const Fixture& fixture : load_fixtures()) {
    Graph graph;
    const auto root = read(as_bytes(fixture.input), graph);
    REQUIRE(root.ok());
    const auto once = write(graph, root.value().root);
    const auto twice = write(graph, root.value().root);
    REQUIRE(once.ok());
    CHECK((once.value() == twice.value()));
    Graph again;
    CHECK(read(as_bytes(once.value()), again).ok());
  }
}

}  // namespace
}  // namespace mlc::pickle
