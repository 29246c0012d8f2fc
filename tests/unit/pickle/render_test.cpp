#include "mlc/pickle/render.h"

#include "catch.h"
#include "mlc/pickle/python_literals.h"
#include "mlc/pickle/reader.h"

#include <limits>

namespace mlc::pickle {
namespace {

using namespace std::string_literals;

// BYTES are a pickle without PROTO and STOP.
std::string rendered(const std::string& bytes, const RenderOptions& options = {}) {
  const std::string whole = bytes + ".";
  Graph graph;
  const auto result = read(as_bytes(whole), graph);
  if (!result.ok()) FAIL(result.error().text());
  return render(graph, result.value().root, options);
}

TEST_CASE("floats look as in Python") {
  // What CPython 3.11 prints.
  const std::vector<std::pair<double, std::string>> rows = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {0.001, "0.001"},
      {0.0001, "0.0001"},
      {1e-05, "1e-05"},
      {9.999e-05, "9.999e-05"},
      {0.1, "0.1"},
      {1.0 / 3, "0.3333333333333333"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1.2345678901234568e+17, "1.2345678901234568e+17"},
      {9007199254740993.0, "9007199254740992.0"},
      {9999999999999998.0, "9999999999999998.0"},
      {1e22, "1e+22"},
      {1e23, "1e+23"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {2.2250738585072014e-308, "2.2250738585072014e-308"},
      {100.0, "100.0"},
      {-2.5, "-2.5"},
      {1e100, "1e+100"},
      {0.0001234, "0.0001234"},
      {12345.678, "12345.678"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {-std::numeric_limits<double>::infinity(), "-inf"},
      {std::numeric_limits<double>::quiet_NaN(), "nan"},
  };
  for (const auto& [value, text] : rows) CHECK(python_float(value) == text);
}

TEST_CASE("texts look as in Python and are harmless on a terminal") {
  CHECK(python_text("abc") == "'abc'");
  CHECK(python_text("it's") == "\"it's\"");
  CHECK(python_text("'\"") == "'\\'\"'");
  CHECK(python_text("a\n\t\\\x1b[2J\x7f") == "'a\\n\\t\\\\\\x1b[2J\\x7f'");
  CHECK(python_text("\xc3\xbc\xe6\x97\xa5") == "'\xc3\xbc\xe6\x97\xa5'");
  CHECK(python_text("\xed\xa0\x80") == "'\\ud800'");
  CHECK(python_text("\xc2\x9b") == "'\\x9b'");
  CHECK(python_text("\xff") == "'\\xff'");
  CHECK(python_text("abcdef", 3) == "'abc'...");
}

TEST_CASE("values look as in Python") {
  CHECK(rendered("N") == "None");
  CHECK(rendered("(\x88\x89K\x07J\xff\xff\xff\xfft") == "(True, False, 7, -1)");
  CHECK(rendered("\x8a\x09\0\0\0\0\0\0\0\0\1"s) == "18446744073709551616");
  CHECK(rendered("\x8b\x80\0\0\0"s + std::string(128, 'x')) == "<integer of 128 bytes>");
  CHECK(rendered(")") == "()");
  CHECK(rendered("K\x01\x85") == "(1,)");
  CHECK(rendered("](K\1K\2e") == "[1, 2]");
  CHECK(rendered("}(X\2\0\0\0lrG?PbM\xd2\xf1\xa9\xfcX\5\0\0\0betasK\1K\2\x86u"s) ==
        "{'lr': 0.001, 'betas': (1, 2)}");
  CHECK(rendered("\x8f") == "set()");
  CHECK(rendered("\x8f(K\1K\2\x90") == "{1, 2}");
  CHECK(rendered("(K\1\x91") == "frozenset({1})");
  CHECK(rendered("(\x91") == "frozenset()");
  CHECK(rendered("C\5a'\x00\xff\n"s) == "b\"a'\\x00\\xff\\n\"");
  CHECK(rendered("\x96\1\0\0\0\0\0\0\0z"s) == "bytearray(b'z')");
  CHECK(rendered("U\1k") == "'k'");
  CHECK(rendered("U\1\xff") == "b'\\xff'");
}

TEST_CASE("names, calls and storages are told apart") {
  CHECK(rendered("ctorch\nfloat32\n") == "torch.float32");
  CHECK(rendered("c__builtin__\nint\n") == "int");
  CHECK(rendered("cos\nsystem\nX\2\0\0\0ls\x85R"s) == "os.system('ls')");
  CHECK(rendered("ccollections\nOrderedDict\n)R") == "OrderedDict()");
  CHECK(rendered("ccollections\nOrderedDict\n)R(K\1K\2K\3K\4u") == "OrderedDict({1: 2, 3: 4})");
  CHECK(rendered("cargparse\nNamespace\n)\x81}X\2\0\0\0lrG?\xb9\x99\x99\x99\x99\x99\x9asb"s) ==
        "argparse.Namespace(lr=0.1)");
  CHECK(rendered("ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nNtR}X\1\0\0\0aK\1sb"s) ==
        "m.C(a=1)");
  CHECK(rendered("c_codecs\nencode\nX\2\0\0\0a\x01X\6\0\0\0latin1\x86R"s) == "b'a\\x01'");
  CHECK(rendered("c__builtin__\nset\n](K\1K\2e\x85R") == "{1, 2}");
  CHECK(rendered("cm\nC\n)\x81K\5a}K\1K\2sN\x86"
                 "b") == "m.C([5], state=({1: 2}, None))");
  CHECK(rendered("cm\nC\nK\1\x85}X\1\0\0\0kK\2s\x92"s) == "m.C(1, k=2)");
  CHECK(rendered("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
                 "0X\3\0\0\0cpuK\6tQ"s) == "<torch.FloatStorage 0>");
  CHECK(rendered("K\1Q") == "<persistent 1>");
  CHECK(rendered("c\x1b[2J\nx\n") == "\\x1b[2J.x");
}

TEST_CASE("what is too much is shown as dots") {
  RenderOptions few;
  few.max_nodes = 3;
  CHECK(rendered("](K\1K\2K\3K\4e", few) == "[1, 2, ...]");
  CHECK(rendered("](]K\1a](K\2K\3ee", few) == "[[1], ...]");
  RenderOptions shallow;
  shallow.max_depth = 2;
  CHECK(rendered("]]]aa", shallow) == "[[...]]");
  RenderOptions brief;
  brief.max_text = 4;
  CHECK(rendered("X\6\0\0\0abcdef"s, brief) == "'abcd'...");
  CHECK(rendered("C\6abcdef", brief) == "b'abcd'...");
  CHECK(rendered("]q\0h\0a"s) == "[...]");
  CHECK(rendered("}q\0X\1\0\0\0kh\0s"s) == "{'k': ...}");
}

TEST_CASE("neither depth nor sharing makes a preview large") {
  std::string deep(100'000, ']');
  deep += std::string(99'999, 'a');
  RenderOptions all;
  all.max_depth = SIZE_MAX;
  all.max_nodes = SIZE_MAX;
  CHECK(rendered(deep, all).size() < 1000);
  std::string laughs = "]q\0"s;
  for (int i = 0; i < 60; ++i) {
    laughs += "](h" + std::string(1, static_cast<char>(i)) + "h" + static_cast<char>(i) + "eq" +
              static_cast<char>(i + 1);
  }
  CHECK(rendered(laughs).size() < 2000);
}

}  // namespace
}  // namespace mlc::pickle
