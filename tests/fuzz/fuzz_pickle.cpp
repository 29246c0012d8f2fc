// Any bytes: read() must not crash, hang or allocate on their word. What it accepts and write() can
// write must read back, and be written the same way from then on.
#include "mlc/pickle/globals.h"
#include "mlc/pickle/reader.h"
#include "mlc/pickle/render.h"
#include "mlc/pickle/writer.h"

#include <cstdlib>

using namespace mlc;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A pickle of protocol 4 that makes one empty set of two bytes becomes some 30 bytes.
constexpr size_t kMostGrowth = 64;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  pickle::Graph graph;
  pickle::ReadOptions options;
  options.allow_text_persistent_ids = size % 2 == 1;
  options.max_nodes = 1'000'000;
  const auto first = pickle::read(bytes, graph, options);
  if (!first.ok()) return 0;
  require(pickle::render(graph, first.value().root).size() < 1'000'000);
  for (const auto& use : pickle::list_globals(graph, first.value().root)) {
    pickle::weights_only_allows(use.module, use.name);
  }
  const auto written = pickle::write(graph, first.value().root);
  if (!written.ok()) return 0;
  require(written.value().size() <= kMostGrowth * (size + 1));

  pickle::Graph again;
  const auto second = pickle::read(as_bytes(written.value()), again);
  require(second.ok());
  const auto rewritten = pickle::write(again, second.value().root);
  require(rewritten.ok() && rewritten.value() == written.value());
  return 0;
}
