#include "frontend/architecture_testing.h"
#include "mlc/frontend/forward_text.h"

#include <algorithm>

using namespace architecture_testing;
using namespace mlc::arch;

namespace {

const std::string kBlocks =
    "modules:\n"
    "  blocks: {repeat: 2, type: Block}\n"
    "  named: {type: ModuleDict, modules: {k: {type: ReLU}, m: {type: Tanh}}}\n"
    "  act: {type: ReLU}\n"
    "classes:\n"
    "  Block:\n"
    "    modules: {layers: [{type: ReLU}, {type: Tanh}], act: {type: ReLU}}\n";

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out.substr(0, out.size() - 2);
}

std::string with_body(const std::string& body) {
  return kBlocks + "forward: |\n  def forward(self, x):\n" + indented(indented(body));
}

/// What BODY becomes, without the header, the indentation and __call__.
std::string written(const std::string& body) {
  auto architecture = parse(with_body(body));
  INFO((architecture.ok() ? "" : architecture.error().text()));
  REQUIRE(architecture.ok());
  const ScriptModule& root = architecture->root();
  CHECK(static_cast<size_t>(std::count(root.source.begin(), root.source.end(), '\n')) ==
        root.lines.size());
  std::string out;
  const std::string text = root.source.substr(0, root.source.find("def __call__"));
  for (size_t at = text.find('\n') + 1; at < text.size(); at = text.find('\n', at) + 1) {
    out += text.substr(at + 2, text.find('\n', at) - at - 1);
  }
  return out;
}

}  // namespace

TEST_CASE("the header of forward is read whatever its shape") {
  const auto header = forward_header(
      "def other(self): return 1\n"
      "def forward(self, x: Tensor, hx: Optional[Tuple[Tensor, Tensor]] = None,  # a ) comment\n"
      "            mode: str = \"a,)\", *, flag: bool=True) -> Dict[str, Tensor]:\n"
      "    return x\n");
  REQUIRE(header);
  REQUIRE(header->parameters.size() == 4);
  CHECK(header->parameters[0].name == "x");
  CHECK(header->parameters[1].type == "Optional[Tuple[Tensor, Tensor]]");
  CHECK(header->parameters[1].default_value == "None");
  CHECK(header->parameters[2].default_value == "\"a,)\"");
  CHECK(header->parameters[3].keyword_only);
  CHECK(header->returns == "Dict[str, Tensor]");
  CHECK_FALSE(forward_header("def forward(self, x"));
  CHECK_FALSE(forward_header("  def forward(self, x): return x"));
  CHECK_FALSE(forward_header("def forwards(self, x): return x"));
}

TEST_CASE("__call__ passes on what forward takes") {
  CHECK(call_method("def forward(self, x, y: int=2, *, z: bool=True):\n  return x\n") ==
        "def __call__(self, x: Tensor, y: int=2, *, z: bool=True):\n"
        "    return self.forward(x, y, z=z)\n");
  CHECK(call_method("def forward(self):\n  return 1\n") ==
        "def __call__(self):\n    return self.forward()\n");
  CHECK(call_method("def forward(self):\n  return 1\ndef __call__(self):\n  return 1\n").empty());
  CHECK(call_method("def other(self):\n  return 1\n").empty());
}

TEST_CASE("loops over modules are written out") {
  CHECK(written("for block in self.blocks:\n  x = block.act(x)  # block\nreturn x\n") ==
        "if True:\n  x = getattr(self.blocks, \"0\").act(x)  # block\n"
        "if True:\n  x = getattr(self.blocks, \"1\").act(x)  # block\nreturn x\n");
  CHECK(written("for i, b in enumerate(self.blocks[1:]):\n  x = b.act(x) + i\nreturn x\n") ==
        "i = 0\nif True:\n  x = getattr(self.blocks, \"1\").act(x) + i\nreturn x\n");
  CHECK(written("for name, m in self.named.items():\n  x = m(x)\nreturn x\n") ==
        "name = \"k\"\nif True:\n  x = self.named.k(x)\n"
        "name = \"m\"\nif True:\n  x = self.named.m(x)\nreturn x\n");
  CHECK(written(
            "for a, m in zip(self.blocks, self.named.values()):\n  x = m(a.act(x))\nreturn x\n") ==
        "if True:\n  x = self.named.k(getattr(self.blocks, \"0\").act(x))\n"
        "if True:\n  x = self.named.m(getattr(self.blocks, \"1\").act(x))\nreturn x\n");
  CHECK(written("for b in self.blocks[2:]:\n  x = b(x)\nreturn x\n") == "pass\nreturn x\n");
}

TEST_CASE("loops over modules may contain each other and other loops") {
  CHECK(written("for block in self.blocks[:1]:\n"
                "  for layer in block.layers:\n"
                "    x = layer(\n"
                "x)\n"
                "  for i in range(2):\n"
                "    if i == 1: break\n"
                "    x = block.act(x)\n"
                "    continue\n"
                "return x\n") ==
        "if True:\n"
        "  if True:\n"
        "    x = getattr(getattr(self.blocks, \"0\").layers, \"0\")(\n"
        "x)\n"
        "  if True:\n"
        "    x = getattr(getattr(self.blocks, \"0\").layers, \"1\")(\n"
        "x)\n"
        "  for i in range(2):\n"
        "    if i == 1:\n"
        "        break\n"
        "    x = getattr(self.blocks, \"0\").act(x)\n"
        "    continue\n"
        "return x\n");
  CHECK(message(with_body("for b in self.blocks:\n  if True:\n    break\nreturn x\n")) ==
        "13:9: break cannot leave a loop over modules, which is written out");
}

TEST_CASE("strings of several lines are left alone") {
  CHECK(written("\"\"\"A loop (\n"
                "for b in self.blocks:\n"
                "  don't\"\"\"\n"
                "for b in self.blocks[:1]:\n  x = b(x)\n"
                "return x\n") ==
        "\"\"\"A loop (\n"
        "for b in self.blocks:\n"
        "  don't\"\"\"\n"
        "if True:\n  x = getattr(self.blocks, \"0\")(x)\n"
        "return x\n");
}

TEST_CASE("loops that would become endless text are refused") {
  const std::string many =
      "modules: {m: {repeat: 1000, type: ReLU}}\nforward: |\n"
      "  def forward(self, x):\n"
      "    for a in self.m:\n"
      "      for b in self.m:\n"
      "        x = a(b(x))\n"
      "    return x\n";
  CHECK(message(many) ==
        "3:10: the loops over modules in this text become more than 100,000 lines or 16 MB");
  std::string deep = "modules: {m: [{type: ReLU}]}\nforward: |\n  def forward(self, x):\n";
  for (size_t i = 0; i < 150; ++i) deep += std::string(i + 3, ' ') + "for a in self.m:\n";
  CHECK(message(deep + std::string(153, ' ') + "x = a(x)\n").find("100 loops") !=
        std::string::npos);
}

TEST_CASE("indices into lists of modules become attributes") {
  CHECK(written("return self.blocks[-1].layers[0](x) + len(self.blocks)\n") ==
        "return getattr(getattr(self.blocks, \"1\").layers, \"0\")(x) + 2\n");
  CHECK(written("return self.named['k'](x[0], \"self.blocks[0]\")  # self.blocks[0]\n") ==
        "return self.named.k(x[0], \"self.blocks[0]\")  # self.blocks[0]\n");
  CHECK(written("return f(y.self.blocks[0], len(x), self.act(x))\n") ==
        "return f(y.self.blocks[0], len(x), self.act(x))\n");
  CHECK(written("for b in self.blocks[:1]:\n  x = f(b=b, c=x == b)\nreturn x\n") ==
        "if True:\n  x = f(b=getattr(self.blocks, \"0\"), c=x == getattr(self.blocks, "
        "\"0\"))\nreturn x\n");
  CHECK(message(with_body("return self.blocks[2](x)\n")) ==
        "11:12: index 2 is outside of blocks, which has 2 modules");
}

TEST_CASE("places in the source lead back to the YAML") {
  auto architecture =
      parse(with_body("for block in self.blocks:\n  x = block.oops(x)\nreturn bad\n"));
  REQUIRE(architecture.ok());
  const ScriptModule& root = architecture->root();
  // "    x = getattr(self.blocks, "1").oops(x)" is line 5 of the source, line 12 of the file.
  const std::string& source = root.source;
  const size_t second = source.find("getattr(self.blocks, \"1\")");
  const size_t line_begin = source.rfind('\n', second) + 1;
  CHECK(std::count(source.begin(), source.begin() + long(second), '\n') == 4);
  const size_t oops = source.find("oops", second) - line_begin + 1;
  const Position at = position_in_yaml(root, 5, oops);
  CHECK(architecture->error_at(at, "m").text() ==
        "12:17: m\n        x = block.oops(x)\n                  ^");
  CHECK(position_in_yaml(root, 5, second - line_begin + 1).column == 11);
  CHECK(position_in_yaml(root, 6, 12).line == 13);
  CHECK(position_in_yaml(root, 6, 12).column == 14);
  // Generated text: the module.
  CHECK(position_in_yaml(root, 7, 3).line == root.position.line);
}

TEST_CASE("forward must be a method") {
  CHECK(message("forward: 3\n") ==
        "2:10: forward has no method `def forward(self, ...):` at the start of a line");
  CHECK(message("forward: [a]\n") == "2:10: forward must be text, found a list");
  CHECK(message("forward: |\n  return x\n") ==
        "2:10: forward has no method `def forward(self, ...):` at the start of a line");
}
