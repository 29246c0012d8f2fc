// Pickles that no honest program writes: each with its message, none with a large allocation.
#include "catch.h"
#include "mlc/base/text.h"
#include "mlc/pickle/reader.h"
#include "mlc/pickle/writer.h"

#include <string>

#include <malloc.h>

namespace mlc::pickle {
namespace {

using namespace std::string_literals;

std::string error_of(const std::string& bytes, ErrorKind kind = ErrorKind::corrupt,
                     const ReadOptions& options = {}) {
  Graph graph;
  const auto result = read(as_bytes(bytes), graph, options);
  if (result.ok()) return "no error";
  CHECK(result.error().kind() == kind);
  return result.error().message();
}

// Reads BYTES, which must work, into GRAPH, which borrows from them.
ReadResult must_read(const std::string& bytes, Graph& graph) {
  auto result = read(as_bytes(bytes), graph);
  if (!result.ok()) FAIL(result.error().text());
  return std::move(result).value();
}

std::string repeat(std::string_view text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

// Bytes of the heap in use; 0 under a sanitizer, which has a heap of its own.
size_t heap_in_use() {
#if defined(MLC_SANITIZED)
  return 0;
#else
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

constexpr size_t kSmall = 1U << 20U;

struct Case {
  std::string bytes;
  std::string message;  // after "pickle opcode "
  ErrorKind kind = ErrorKind::corrupt;
};

void check_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) CHECK(error_of(c.bytes, c.kind) == "pickle opcode " + c.message);
}

TEST_CASE("opcodes that do not exist or are forbidden are named") {
  const std::string refused = ": an opcode that no checkpoint needs; refused for safety";
  const std::string buffer = ": an out-of-band buffer, which is not in the file";
  check_all({
      {"\x80\x02\xff",
       "byte 255 at byte 2: no such opcode; this is not a pickle, or it is damaged"},
      {"(i__main__\nX\n.", "INST at byte 1" + refused, ErrorKind::unsupported},
      {"(c__main__\nX\no.", "OBJ at byte 13" + refused, ErrorKind::unsupported},
      {"\x82\x01.", "EXT1 at byte 0" + refused, ErrorKind::unsupported},
      {"\x83\x01\x01.", "EXT2 at byte 0" + refused, ErrorKind::unsupported},
      {"\x84\x01\x01\x01\x01.", "EXT4 at byte 0" + refused, ErrorKind::unsupported},
      {"\x80\x05\x97.", "NEXT_BUFFER at byte 2" + buffer, ErrorKind::unsupported},
      {"N\x98.", "READONLY_BUFFER at byte 1" + buffer, ErrorKind::unsupported},
      {"\x80\x06N.", "PROTO at byte 0: protocol 6", ErrorKind::unsupported},
      {"P1\n.",
       "PERSID at byte 0: storages named in text (pickle protocol 0), which PyTorch itself cannot "
       "load",
       ErrorKind::unsupported},
  });
}

TEST_CASE("text persistent ids are read where they are asked for") {
  const std::string bytes = "P7\n.";
  Graph graph;
  ReadOptions options;
  options.allow_text_persistent_ids = true;
  const auto result = read(as_bytes(bytes), graph, options);
  REQUIRE(result.ok());
  CHECK(graph.text(graph.persistent_id(result.value().root)) == "7");
}

TEST_CASE("arguments that are cut off or too long are seen before anything is allocated") {
  const size_t before = heap_in_use();
  check_all({
      {"J\x01\x02", "BININT at byte 0: the argument is cut off"},
      {"G\x01\x02", "BINFLOAT at byte 0: the argument is cut off"},
      {"X\x01", "BINUNICODE at byte 0: the argument is cut off"},
      {"X\xff\xff\xff\xff.", "BINUNICODE at byte 0: claims 4294967295 bytes, 1 are left"},
      {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
       "BINUNICODE8 at byte 0: claims 18446744073709551615 bytes, 1 are left"},
      {"B\xff\xff\xff\x7f.", "BINBYTES at byte 0: claims 2147483647 bytes, 1 are left"},
      {"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
       "BINBYTES8 at byte 0: claims 9223372036854775807 bytes, 1 are left"},
      {"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
       "BYTEARRAY8 at byte 0: claims 9223372036854775807 bytes, 1 are left"},
      {"U\x05"
       "abc",
       "SHORT_BINSTRING at byte 0: claims 5 bytes, 3 are left"},
      {"X\x02\0\0\0\xc3\x28."s, "BINUNICODE at byte 0: its text is not UTF-8"},
      {"\x80", "PROTO at byte 0: the argument is cut off"},
  });
  CHECK(error_of("") == "pickle: ends at byte 0 without STOP");
  CHECK(error_of("N") == "pickle: ends at byte 1 without STOP");
  CHECK(heap_in_use() <= before + kSmall);
}

TEST_CASE("frames may neither be longer than the file, nor nested, nor straddled") {
  const std::string frame = "\x95\x03\0\0\0\0\0\0\0"s;
  check_all({
      {"\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
       "FRAME at byte 0: a frame of 18446744073709551615 bytes, 1 are left"},
      {"\x95\x0a\0\0\0\0\0\0\0"s + frame + "N.", "FRAME at byte 9: a frame inside a frame"},
      {frame + "NX\x05\0\0\0hello."s, "BINUNICODE at byte 10: the argument is cut off"},
      {frame + "\x8c\x05hello.",
       "SHORT_BINUNICODE at byte 9: claims 5 bytes, 1 are left in its frame"},
  });
  Graph graph;
  CHECK(graph.is(must_read(frame + "NN0.", graph).root, NodeKind::none));
}

TEST_CASE("the stack cannot be emptied below a mark") {
  check_all({
      {".", "STOP at byte 0: the stack is empty"},
      {"(.", "STOP at byte 1: a MARK was never used"},
      {"N(0(.", "STOP at byte 4: a MARK was never used"},
      {"0.", "POP at byte 0: the stack is empty"},
      {"1.", "POP_MARK at byte 0: there is no MARK"},
      {"t.", "TUPLE at byte 0: there is no MARK"},
      {"l.", "LIST at byte 0: there is no MARK"},
      {"N\x86.", "TUPLE2 at byte 1: the stack is empty"},
      {"N(N\x86.", "TUPLE2 at byte 3: the stack is empty"},
      {"NN(R.", "REDUCE at byte 3: the stack is empty"},
      {"(u.", "SETITEMS at byte 1: the stack is empty"},
      {"N(((e.", "APPENDS at byte 4: the stack is empty"},
      {"](Na.", "APPEND at byte 3: the stack is empty"},
      {"}(NNs.", "SETITEM at byte 4: the stack is empty"},
      {"q\x01.", "BINPUT at byte 0: the stack is empty"},
      {"2.", "DUP at byte 0: the stack is empty"},
      {"N(2.", "DUP at byte 2: the stack is empty"},
      {"Q.", "BINPERSID at byte 0: the stack is empty"},
      {"b.", "BUILD at byte 0: the stack is empty"},
      {"N\x93.", "STACK_GLOBAL at byte 1: the stack is empty"},
  });
}

TEST_CASE("values that are left on the stack are warned of") {
  Graph graph;
  const std::string bytes = "NNK\x07.";
  const ReadResult result = must_read(bytes, graph);
  CHECK(graph.integer(result.root) == 7);
  CHECK(result.warnings == std::vector<std::string>{"the pickle leaves 2 unused values"});
}

TEST_CASE("calls whose result is dropped are warned of") {
  Graph graph;
  const std::string dropped = "cos\nsystem\nU\x02ls\x85R0N."s;
  CHECK(must_read(dropped, graph).warnings ==
        std::vector<std::string>{
            "the pickle drops the result of 1 call, which a rewrite leaves out"});
}

TEST_CASE("memo numbers far ahead allocate nothing") {
  const size_t before = heap_in_use();
  Graph graph;
  const std::string bytes = "]r\xff\xff\xff\xff]r\xfe\xff\xff\x7f\x85j\xff\xff\xff\xff\x86.";
  const NodeId root = must_read(bytes, graph).root;
  CHECK(graph.tuple(root)[1] == graph.tuple(graph.tuple(root)[0])[0] - 1);
  CHECK(heap_in_use() <= before + kSmall);
  check_all({
      {"h\x05.", "BINGET at byte 0: memo 5 was never set"},
      {"Nr\x05\0\0\0h\x04."s, "BINGET at byte 6: memo 4 was never set"},
      {"j\xff\xff\xff\xff.", "LONG_BINGET at byte 0: memo 4294967295 was never set"},
      {"g99999999999999999999\n.", "GET at byte 0: not a memo number: \"99999999999999999999\""},
      {"g-1\n.", "GET at byte 0: not a memo number: \"-1\""},
      {"Np 1\n.", "PUT at byte 1: not a memo number: \" 1\""},
  });
}

TEST_CASE("a memo that steps ahead costs what the file costs") {
  const size_t before = heap_in_use();
  std::string bytes = "N";
  for (uint32_t i = 0; i < 10'000; ++i) {
    bytes += 'r';
    append_le(bytes, i * 60'000);
  }
  Graph graph;
  must_read(bytes + ".", graph);
  CHECK(heap_in_use() <= before + 4 * kSmall);
}

TEST_CASE("MEMOIZE numbers by the distinct entries, as CPython does") {
  Graph graph;
  const std::string bytes = "K\x01q\0q\0K\x02\x94h\x01\x86."s;  // memo 0 is set twice
  const auto items = graph.tuple(must_read(bytes, graph).root);
  CHECK(graph.integer(items[1]) == 2);
}

TEST_CASE("deep nesting is read, and refused by the writer") {
  constexpr size_t kDepth = 100'000;
  for (const std::string& bytes :
       {repeat("]", kDepth) + repeat("a", kDepth - 1) + ".", "N" + repeat("\x85", kDepth) + ".",
        repeat("(", kDepth) + repeat("t", kDepth) + ".",
        repeat("(", kDepth) + repeat("l", kDepth) + "."}) {
    Graph graph;
    const NodeId root = must_read(bytes, graph).root;
    const auto written = write(graph, root);
    REQUIRE_FALSE(written.ok());
    CHECK(written.error().kind() == ErrorKind::unsupported);
    CHECK(written.error().message() == "values nested deeper than 1000");
  }
  Graph graph;
  const std::string allowed = repeat("]", kMaxDepth) + repeat("a", kMaxDepth - 1) + ".";
  CHECK(write(graph, must_read(allowed, graph).root).ok());
}

TEST_CASE("containers may hold themselves") {
  Graph graph;
  const std::string bytes = "]q\0h\0a}q\1h\0h\1sh\1\x87."s;
  const NodeId root = must_read("]q\0h\0a."s, graph).root;
  CHECK(graph.list(root) == std::vector<NodeId>{root});
  CHECK(write(graph, root).value() == "\x80\x02]q\0h\0a."s);
  Graph dicts;
  const std::string own_value = "}q\0X\x01\0\0\0kq\x01h\0s."s;
  const NodeId dict = must_read(own_value, dicts).root;
  CHECK(dicts.dict(dict)[0].second == dict);
  CHECK(write(dicts, dict).value() == "\x80\x02" + own_value);
}

TEST_CASE("an object that needs itself to be made ends at the depth limit") {
  // f([x]) where x is the result of the call, put into the list afterwards: the writer must not
  // hang, whatever it makes of it.
  Graph graph;
  const std::string bytes = "cm\nf\n(]q\0tRq\1h\0h\1a0."s;
  const NodeId root = must_read(bytes, graph).root;
  const auto written = write(graph, root);
  if (written.ok()) CHECK(must_read(written.value(), graph).root != kNoNode);
}

TEST_CASE("a billion laughs stay as small as their file") {
  const size_t before = heap_in_use();
  std::string bytes = "\x80\x02]q";
  bytes += '\0';
  for (int i = 0; i < 60; ++i) {
    const auto last = static_cast<char>(i);
    bytes += std::string("](h") + last + "h" + last + "h" + last + "h" + last + "eq" +
             static_cast<char>(i + 1);
  }
  Graph graph;
  const NodeId root = must_read(bytes + ".", graph).root;
  CHECK(graph.size() < 100);
  CHECK(write(graph, root).value().size() < 1200);
  CHECK(heap_in_use() <= before + kSmall);
}

TEST_CASE("keys may be of any kind") {
  Graph graph;
  const std::string bytes =
      "\x80\x02}q\0(K\x01NG?\xf0\0\0\0\0\0\0NNN\x88NU\x01kq\1NX\x03\0\0\0\xed\xa0\x80q\2NK\x01K\x02\x86q\3Nu."s;
  const NodeId root = must_read(bytes, graph).root;
  CHECK(graph.dict(root).size() == 7);
  CHECK(write(graph, root).value() == bytes);
}

TEST_CASE("items, states and calls need a target of the right kind") {
  check_all({
      {"}(NNNu.", "SETITEMS at byte 5: a key without a value"},
      {"(NNNd.", "DICT at byte 4: a key without a value"},
      {"]NNs.", "SETITEM at byte 3: sets items of something that is no dict"},
      {"N(NNu.", "SETITEMS at byte 4: sets items of something that is no dict"},
      {"cos\nsystem\n(NNu.", "SETITEMS at byte 14: sets items of something that is no dict"},
      {"}Na.", "APPEND at byte 2: appends to something that is no list"},
      {")(Ne.", "APPENDS at byte 3: appends to something that is no list"},
      {"](N\x90.", "ADDITEMS at byte 3: adds items to something that is no set"},
      {"}Nb.", "BUILD at byte 2: gives a state to something that is no object"},
      {"cos\nsystem\nNb.", "BUILD at byte 12: gives a state to something that is no object"},
      {"cm\nC\n)RNbNb.", "BUILD at byte 10: gives one object a second state"},
      {"cm\nf\nNR.", "REDUCE at byte 6: the arguments are no tuple"},
      {"N)R.", "REDUCE at byte 2: calls something that is no name"},
      {"U\x02os)\x81.", "NEWOBJ at byte 5: calls something that is no name"},
      {"cm\nC\n))\x92.", "NEWOBJ_EX at byte 7: the keyword arguments are no dict"},
      {"NN\x93.", "STACK_GLOBAL at byte 2: the module or the name is no text"},
      {"\x8c\x01m\x8c\x03"
       "a\nb\x93.",
       "STACK_GLOBAL at byte 8: a name with a line break"},
      {"\x8c\x01m\x8c\x03\xed\xa0\x80\x93.", "STACK_GLOBAL at byte 8: the name is not UTF-8"},
      {"c\xff\nx\n.", "GLOBAL at byte 0: the name is not UTF-8"},
      {"c" + std::string(1025, 'm') + "\nx\n.", "GLOBAL at byte 0: a name longer than 1,024 bytes"},
  });
}

TEST_CASE("integers are limited and byte arrays are not made to order") {
  check_all({
      {"\x8b\x01\x10\0\0."s, "LONG4 at byte 0: an integer of 4097 bytes"},
      {"\x8b\xff\xff\xff\xff.", "LONG4 at byte 0: an integer of 4294967295 bytes"},
      {"\x8a\x05\x01.", "LONG1 at byte 0: claims 5 bytes, 2 are left"},
      {"I12x\n.", "INT at byte 0: not an integer: \"12x\""},
      {"L\n.", "LONG at byte 0: not an integer: \"\""},
      {"L" + std::string(4001, '9') + "L\n.",
       "LONG at byte 0: not an integer: " + quoted(std::string(4001, '9'), 40)},
      {"Fabc\n.", "FLOAT at byte 0: not a number: \"abc\""},
      {"Sabc\n.", "STRING at byte 0: not a quoted string: \"abc\""},
      {"V\\u12\n.", "UNICODE at byte 0: not a text: \"\\\\u12\""},
  });
  // bytearray(2**31) is a name and a number.
  const size_t before = heap_in_use();
  Graph graph;
  const std::string bytes = "c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.";
  CHECK(graph.is(must_read(bytes, graph).root, NodeKind::object));
  CHECK(heap_in_use() <= before + kSmall);
}

TEST_CASE("lines have an end") {
  check_all({
      {"I12", "INT at byte 0: its line has no end"},
      {"cos\nsystem", "GLOBAL at byte 0: its line has no end"},
      {"V" + std::string(2U << 20U, 'x') + "\n.",
       "UNICODE at byte 0: its line is longer than 1,048,576 bytes"},
  });
}

TEST_CASE("what follows STOP is not looked at, and told") {
  Graph graph;
  const std::string bytes = "\x80\x02N.\xff\xff";
  CHECK(must_read(bytes, graph).size == 4);
}

TEST_CASE("the number of values is limited") {
  ReadOptions options;
  options.max_nodes = 1000;
  const std::string message = ": more than 1,000 values";
  for (const char* one : {"]", "N", "(", "2"}) {
    const std::string text = error_of("N" + repeat(one, 5000), ErrorKind::corrupt, options);
    CHECK(text.substr(text.size() - message.size()) == message);
  }
}

// A state_dict of COUNT small tensors, as torch.save pickles it.
std::string state_dict(uint32_t count) {
  Graph graph;
  const NodeId ordered = graph.add_global("collections", "OrderedDict");
  const NodeId rebuild = graph.add_global("torch._utils", "_rebuild_tensor_v2");
  const NodeId type = graph.add_global("torch", "FloatStorage");
  const NodeId storage = graph.add_text("storage");
  const NodeId cpu = graph.add_text("cpu");
  const NodeId root = graph.add_object(ObjectForm::reduce, ordered, graph.empty_tuple());
  for (uint32_t i = 0; i < count; ++i) {
    const auto number = std::to_string(i);
    const NodeId id =
        graph.add_tuple({storage, type, graph.add_text(number), cpu, graph.add_integer(6)});
    const NodeId size = graph.add_tuple({graph.add_integer(2), graph.add_integer(3)});
    const NodeId stride = graph.add_tuple({graph.add_integer(3), graph.add_integer(1)});
    const NodeId hooks = graph.add_object(ObjectForm::reduce, ordered, graph.empty_tuple());
    const NodeId args = graph.add_tuple({graph.add_persistent(id), graph.add_integer(0), size,
                                         stride, graph.boolean_node(false), hooks});
    graph.content_for_edit(root).items.emplace_back(
        graph.add_text("layers." + number + ".weight"),
        graph.add_object(ObjectForm::reduce, rebuild, args));
  }
  return write(graph, root).value();
}

TEST_CASE("the graph of 100,000 tensors takes 35 MB at most") {
  const std::string bytes = state_dict(100'000);
  const size_t before = heap_in_use();
  Graph graph;
  const NodeId root = must_read(bytes, graph).root;
  CHECK(heap_in_use() <= before + 35'000'000);
  CHECK((write(graph, root).value() == bytes));
}

TEST_CASE("every prefix and every changed byte of an honest pickle is survived") {
  const std::string honest =
      "\x80\x02}q\0X\x01\0\0\0wq\1ctorch._utils\n_rebuild_tensor_v2\nq\2((X\x07\0\0\0storageq\3"
      "ctorch\nFloatStorage\nq\4X\x01\0\0\0"
      "0q\5X\x03\0\0\0cpuq\6K\6tq\7QK\0K\2K\3\x86q\x08K\3K\1\x86"
      "q\x09\x89"
      "ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds."s;
  Graph whole;
  REQUIRE(write(whole, must_read(honest, whole).root).value() == honest);
  for (size_t length = 0; length < honest.size(); ++length) {
    CHECK(error_of(honest.substr(0, length)) != "no error");
  }
  for (size_t at = 0; at < honest.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = honest;
      changed[at] = static_cast<char>(value);
      Graph graph;
      const auto result = read(as_bytes(changed), graph);
      if (!result.ok()) continue;
      const auto written = write(graph, result.value().root);
      Graph again;
      if (written.ok()) CHECK(read(as_bytes(written.value()), again).ok());
    }
  }
}

}  // namespace
}  // namespace mlc::pickle
