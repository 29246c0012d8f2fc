#include "zip_of.h"

namespace mlc::test {
namespace {

std::string storage5(std::string_view key) {
  return tuple({text("storage"), global("torch", "FloatStorage"), text(key), text("cpu"),
                integer(1)}) +
         "Q";
}

std::string scalar(std::string_view key) {
  return tensor(storage5(key), 0, {}, {});
}

std::string object(std::string_view module, std::string_view name, const std::string& state) {
  return global(module, name) + ")\x81" + state + "b";
}

Records archive(const std::string& root, const Records& code) {
  Records records = {
      {"data.pkl", pickle(root)}, {"constants.pkl", pickle(")")}, {"version", "3\n"}};
  for (const char* key : {"0", "1", "2", "3"})
    records.emplace_back("data/" + std::string(key), std::string(4, key[0]));
  records.insert(records.end(), code.begin(), code.end());
  return records;
}

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const NamedTensor& named : all_tensors(checkpoint, checkpoint.root))
    names.push_back(named.path);
  return names;
}

TEST_CASE("parameters come first, then buffers, then submodules; attributes stand beside them") {
  const std::string inner = object("__torch__.a", "Inner", dict({{"w", scalar("0")}}));
  const std::string outer = object(
      "__torch__", "Outer",
      dict({{"constant", scalar("1")}, {"child", inner}, {"b", scalar("2")}, {"p", scalar("3")}}));
  const auto checkpoint = open_zip(
      "m",
      archive(outer,
              {{"code/__torch__.py",
                "class Outer(Module):\n  __parameters__ = [\"p\", ]\n  __buffers__ = [\"b\", ]\n"},
               {"code/__torch__/a.py",
                "class Other(Module):\n  __parameters__ = []\n  __buffers__ = []\nclass "
                "Inner(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = []\n"}}));
  CHECK(checkpoint->format == Format::torchscript);
  const std::vector<std::string> names = {"state_dict.p", "state_dict.b", "state_dict.child.w",
                                          "constants.constant"};
  CHECK(names_of(*checkpoint) == names);
  for (const NamedTensor& named : all_tensors(*checkpoint, checkpoint->root)) {
    const bool parameter = named.path != "state_dict.b" && named.path != "constants.constant";
    CHECK(checkpoint->tensors[named.tensor].parameter == parameter);
  }
}

TEST_CASE("without the lists every tensor counts") {
  const std::string root = object("__torch__", "M", dict({{"x", scalar("0")}, {"y", scalar("1")}}));
  CHECK(names_of(*open_zip("m", archive(root, {}))) == std::vector<std::string>{"x", "y"});
  const Records old_code = {
      {"code/__torch__.py", "class M(Module):\n  __parameters__ = [\"x\", ]\n"}};
  CHECK(names_of(*open_zip("m", archive(root, old_code))) == std::vector<std::string>{"x", "y"});
}

TEST_CASE("a module inside itself ends the walk") {
  const std::string cls = global("__torch__", "M") + ")\x81q\1}(" + text("self") + "h\1ub";
  CHECK(error_of_zip("m", archive(cls, {})) == "corrupt: a module that contains itself");
}

TEST_CASE("a chain of shared submodules does not run forever") {
  // Each level holds the one below it twice: 2^40 paths from forty objects.
  std::string chain = object("__torch__", "M", "}");
  for (int level = 0; level < 40; ++level) {
    const std::string memo = std::string("q") + static_cast<char>(level + 1);
    const std::string again = std::string("h") + static_cast<char>(level + 1);
    chain = object("__torch__", "M", dict({{"a", chain + memo}, {"b", again}}));
  }
  CHECK(error_of_zip("m", archive(chain, {})) ==
        "unsupported: a model with over a million modules");
}

TEST_CASE("a missing storage record is named") {
  const std::string root = object("__torch__", "M", dict({{"x", scalar("9")}}));
  CHECK(error_of_zip("m", archive(root, {})).find("no record \"data/9\"") != std::string::npos);
}

}  // namespace
}  // namespace mlc::test
