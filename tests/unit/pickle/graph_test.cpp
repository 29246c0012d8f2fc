#include "mlc/pickle/graph.h"

#include "catch.h"
#include "mlc/pickle/opcodes.h"
#include "mlc/pickle/reader.h"
#include "mlc/pickle/writer.h"

#include <set>

namespace mlc::pickle {
namespace {

using namespace std::string_literals;

TEST_CASE("small integers, constants and globals are shared, texts are not") {
  Graph graph;
  CHECK(graph.add_integer(7) == graph.add_integer(7));
  CHECK(graph.add_integer(-16) == graph.add_integer(-16));
  CHECK(graph.add_integer(4096) == graph.add_integer(4096));
  CHECK(graph.add_integer(4097) != graph.add_integer(4097));
  CHECK(graph.integer(graph.add_integer(INT64_MIN)) == INT64_MIN);
  CHECK(graph.add_text("a") != graph.add_text("a"));
  CHECK(graph.add_tuple({}) == graph.empty_tuple());
  const NodeId global = graph.add_global("torch", "float32");
  CHECK(graph.add_global("torch", "float32") == global);
  CHECK(graph.find_global("torch", "float32") == global);
  CHECK(graph.find_global("torch.float32", "") == kNoNode);
  CHECK(graph.global_path(global) == "torch.float32");
}

TEST_CASE("text that the graph keeps does not move") {
  Graph graph;
  const NodeId first = graph.add_text("first");
  for (int i = 0; i < 10'000; ++i) graph.add_text(std::to_string(i));
  CHECK(graph.text(first) == "first");
}

TEST_CASE("mappings are found whatever class they are of") {
  Graph graph;
  const NodeId dict = graph.add_dict();
  const NodeId one = graph.add_integer(1);
  const NodeId two = graph.add_integer(2);
  graph.dict(dict) = {{graph.add_text("k"), one}, {graph.add_text("k"), two}, {one, two}};
  CHECK(graph.find(dict, "k") == two);  // as in Python, the last one counts
  CHECK(graph.find(dict, "x") == kNoNode);
  CHECK(graph.find(one, "k") == kNoNode);

  const NodeId callable = graph.add_global("collections", "OrderedDict");
  const NodeId ordered = graph.add_object(ObjectForm::reduce, callable, graph.empty_tuple());
  REQUIRE(graph.entries(ordered) != nullptr);
  CHECK(graph.entries(ordered)->empty());
  graph.entries_for_edit(ordered)->emplace_back(graph.add_text("k"), one);
  CHECK(graph.find(ordered, "k") == one);

  const NodeId other =
      graph.add_object(ObjectForm::reduce, graph.add_global("m", "C"), graph.empty_tuple());
  CHECK(graph.entries(other) == nullptr);
  CHECK(graph.entries_for_edit(other) == nullptr);
  graph.content_for_edit(other).items.emplace_back(graph.add_text("k"), two);
  CHECK(graph.find(other, "k") == two);
}

TEST_CASE("sequences are found whatever class they are of") {
  Graph graph;
  const NodeId one = graph.add_integer(1);
  CHECK(graph.sequence(graph.add_tuple({one, one})).size() == 2);
  const NodeId list = graph.add_list();
  graph.list(list) = {one};
  CHECK(graph.sequence(list).size() == 1);
  const NodeId object =
      graph.add_object(ObjectForm::reduce, graph.add_global("m", "C"), graph.empty_tuple());
  CHECK(graph.sequence(object).empty());
  graph.content_for_edit(object).appended = {one, one, one};
  CHECK(graph.sequence(object).size() == 3);
  CHECK(graph.sequence(one).empty());
}

TEST_CASE("a replaced value changes for all who refer to it") {
  Graph graph;
  const NodeId old_text = graph.add_text("old");
  const NodeId pair = graph.add_tuple({old_text, old_text});
  graph.replace(old_text, graph.add_text("new"));
  CHECK(write(graph, pair).value() == "\x80\x02X\3\0\0\0newq\0h\0\x86q\1."s);
}

TEST_CASE("an edit changes the bytes that it must") {
  const std::string bytes = "\x80\x02}q\0(X\1\0\0\0aq\1K\1X\1\0\0\0bq\2K\2u."s;
  Graph graph;
  const auto result = read(as_bytes(bytes), graph);
  REQUIRE(result.ok());
  graph.dict(result.value().root)[0].first = graph.add_text("new");
  CHECK(write(graph, result.value().root).value() ==
        "\x80\x02}q\0(X\3\0\0\0newq\1K\1X\1\0\0\0bq\2K\2u."s);
  graph.dict(result.value().root).pop_back();
  CHECK(write(graph, result.value().root).value() == "\x80\x02}q\0X\3\0\0\0newq\1K\1s."s);
}

TEST_CASE("calls with keyword arguments need protocol 4") {
  Graph graph;
  const NodeId call = graph.add_object(ObjectForm::new_object_ex, graph.add_global("m", "C"),
                                       graph.empty_tuple(), graph.add_dict());
  CHECK(write(graph, call).value() == "\x80\4cm\nC\nq\0)}q\1\x92q\2."s);
}

TEST_CASE("a tensor must be lowered before it is written") {
  Graph graph;
  const auto written = write(graph, graph.add_tensor(3));
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().kind() == ErrorKind::internal);
}

TEST_CASE("every opcode has a name of its own") {
  std::set<std::string_view> names;
  size_t count = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto name = opcode_name(static_cast<uint8_t>(byte));
    if (name.empty()) continue;
    names.insert(name);
    ++count;
  }
  CHECK(count == 68);  // len(pickletools.opcodes)
  CHECK(names.size() == count);
}

}  // namespace
}  // namespace mlc::pickle
