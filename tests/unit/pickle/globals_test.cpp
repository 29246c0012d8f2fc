#include "mlc/pickle/globals.h"

#include "catch.h"
#include "fixtures.h"
#include "mlc/pickle/allowed_globals.h"
#include "mlc/pickle/reader.h"

#include <algorithm>

namespace mlc::pickle {
namespace {

using namespace std::string_literals;

// "os.system 1 called", one a line.
std::string listed(const std::string& bytes) {
  Graph graph;
  const auto result = read(as_bytes(bytes), graph);
  if (!result.ok()) FAIL(result.error().text());
  std::string out;
  for (const GlobalUse& use : list_globals(graph, result.value().root)) {
    out += use.module + "." + use.name + " " + std::to_string(use.count);
    out += use.called ? " called" : "";
    out += use.reachable ? "\n" : " dropped\n";
  }
  return out;
}

TEST_CASE("globals come in the order of their first use") {
  CHECK(listed("N.") == "");
  CHECK(listed("cos\nsystem\n.") == "os.system 0\n");
  CHECK(listed("(cb\ny\n)Rca\nx\ncb\ny\nt.") == "b.y 2 called\na.x 1\n");
  CHECK(listed("cm\nC\n)\x81}K\x01"
               "cm\nD\nsb.") == "m.C 1 called\nm.D 1\n");
  CHECK(listed("cm\nf\ncm\ng\n\x85RQ.") == "m.f 1 called\nm.g 1\n");
}

TEST_CASE("globals that the pickle drops are listed too") {
  CHECK(listed("cos\nsystem\nU\x02ls\x85R0ca\nx\n.") == "a.x 0\nos.system 1 called dropped\n");
  CHECK(listed("cos\nsystem\n0N.") == "os.system 0 dropped\n");
}

TEST_CASE("the first opcode that weights_only does not run is named") {
  const auto refused = [](const std::string& bytes) {
    Graph graph;
    const auto result = read(as_bytes(bytes), graph);
    if (!result.ok()) FAIL(result.error().text());
    return std::string(result->refused_opcode);
  };
  CHECK(refused("\x80\x02}q\x01X\x01\x00\x00\x00\x61K\x01s."s) == "");
  CHECK(refused("\x80\x03N.") == "");
  CHECK(refused("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N."s) == "FRAME");
  CHECK(refused("I01\n.") == "INT");
  CHECK(refused("I01\n0N.") == "INT");
}

TEST_CASE("names that run code are known by the names of both Pythons") {
  for (const char* name : {"eval", "exec", "__import__", "getattr", "eval.__call__"}) {
    CHECK(runs_code("builtins", name));
    CHECK(runs_code("__builtin__", name));
  }
  CHECK(runs_code("posix", "system"));
  CHECK(runs_code("subprocess", "Popen"));
  CHECK_FALSE(runs_code("builtins", "evaluate"));
  CHECK_FALSE(runs_code("builtins", "set"));
  CHECK_FALSE(runs_code("os.path", "join"));
  CHECK_FALSE(runs_code("argparse", "Namespace"));
}

TEST_CASE("a deep pickle is no danger") {
  std::string bytes(100'000, ']');
  bytes += "cm\nf\n" + std::string(100'000, 'a') + ".";
  CHECK(listed(bytes) == "m.f 1\n");
}

TEST_CASE("the table of allowed names is sorted") {
  CHECK(std::ranges::is_sorted(kAllowedGlobals));
  CHECK(std::ranges::adjacent_find(kAllowedGlobals) == std::end(kAllowedGlobals));
}

TEST_CASE("weights_only knows its own list only") {
  for (const std::string_view path : kAllowedGlobals) {
    const size_t dot = path.rfind('.');
    CHECK(weights_only_allows(path.substr(0, dot), path.substr(dot + 1)));
    CHECK_FALSE(weights_only_allows(path.substr(0, dot), std::string(path.substr(dot + 1)) + "x"));
  }
  CHECK(weights_only_allows("torch._utils", "_rebuild_tensor_v2"));
  CHECK(weights_only_allows("__builtin__", "set"));
  CHECK(weights_only_allows("UserDict", "OrderedDict"));
  CHECK(weights_only_allows("torch.nn", "parameter.Parameter"));
  CHECK_FALSE(weights_only_allows("__builtin__", "eval"));
  CHECK_FALSE(weights_only_allows("builtins", "getattr"));
  CHECK_FALSE(weights_only_allows("argparse", "Namespace"));
  CHECK_FALSE(weights_only_allows("torch.distributed.tensor", "DTensor"));
  CHECK_FALSE(weights_only_allows("", "torch.Tensor"));
  CHECK_FALSE(weights_only_allows("", ""));
}

TEST_CASE("plain state dicts need nothing else, whole modules do") {
  for (const Fixture& fixture : load_fixtures()) {
    Graph graph;
    const auto result = read(as_bytes(fixture.input), graph);
    REQUIRE(result.ok());
    const auto uses = list_globals(graph, result.value().root);
    const bool safe = std::ranges::all_of(
        uses, [](const GlobalUse& use) { return weights_only_allows(use.module, use.name); });
    if (fixture.name.starts_with("state dict")) CHECK(safe);
    if (fixture.name.starts_with("training")) CHECK(safe);
    if (fixture.name.starts_with("whole module")) CHECK_FALSE(safe);
  }
}

}  // namespace
}  // namespace mlc::pickle
