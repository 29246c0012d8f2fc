#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

std::string stream(const std::string& object, const std::vector<std::string>& names,
                   const std::string& data) {
  return legacy_head() + pickle(object) + keys(names) + data;
}

TEST_CASE("a legacy stream made by hand reads as one made by PyTorch") {
  const auto checkpoint = open_bytes(
      stream(dict({{"w", tensor(storage("k", 6), 0, {2, 3}, {3, 1})}}), {"k"}, floats(6)));
  CHECK(checkpoint->format == Format::torch_legacy);
  REQUIRE(checkpoint->tensors.size() == 1);
  const auto bytes = contiguous_bytes(*checkpoint->view(0), 100);
  REQUIRE(bytes.ok());
  CHECK(*bytes == floats(6).substr(8));
}

TEST_CASE("a view is a storage of its own inside its root") {
  const std::string view = tuple({text("v"), integer(2), integer(3)});
  const auto checkpoint = open_bytes(
      stream(dict({{"w", tensor(storage("k", 6, view), 1, {2}, {1})}}), {"k"}, floats(6)));
  const auto bytes = contiguous_bytes(*checkpoint->view(0), 100);
  REQUIRE(bytes.ok());
  CHECK(*bytes == floats(6).substr(8 + 12, 8));
}

TEST_CASE("a class with its source stands for the class") {
  const std::string cls =
      tuple({text("module"), global("my.models", "Net"), text("net.py"), text("class Net: ...")}) +
      "Q";
  const auto checkpoint = open_bytes(stream(cls + ")\x81", {}, ""));
  const NodeId callable = checkpoint->graph.callable(checkpoint->root);
  CHECK(checkpoint->graph.is_global(callable, "my.models", "Net"));
}

TEST_CASE("Python 2 names storages with str") {
  const std::string object = "}(U\1w" + global("torch._utils", "_rebuild_tensor_v2") +
                             "(((U\7storage" + global("torch", "FloatStorage") +
                             "U\1kU\3cpuK\2NtQ" + std::string("K\0(K\2t(K\1t\x89", 11) +
                             global("collections", "OrderedDict") + ")RtRu";
  std::string body = object;
  body.erase(body.find("((("), 1);
  const auto checkpoint = open_bytes(stream(body, {"k"}, floats(2)));
  CHECK(checkpoint->tensors.size() == 1);
}

TEST_CASE("bytes behind the last storage are a warning") {
  const auto checkpoint = open_bytes(
      stream(dict({{"w", tensor(storage("k", 1), 0, {1}, {1})}}), {"k"}, floats(1) + "xy"));
  CHECK(checkpoint->warnings == std::vector<std::string>{"2 bytes behind the last storage"});
}

TEST_CASE("damaged legacy streams are named") {
  struct Row {
    std::string bytes;
    std::string message;
  };
  const std::string one = tensor(storage("k", 2), 0, {2}, {1});
  const std::string view = tuple({text("v"), integer(1), integer(3)});
  const std::string huge = tuple({text("v"), integer(INT64_MAX), integer(INT64_MAX)});
  const std::string other_view = tuple({text("v"), integer(0), integer(1)});
  const std::string third_view = tuple({text("v"), integer(1), integer(1)});
  const std::string magic = legacy_head().substr(0, 15);
  const Row rows[] = {
      {magic, "without STOP"},
      {magic + pickle(integer(1002)), "unsupported: legacy protocol 1002"},
      {magic + pickle(text("x")), "the version is no number"},
      {legacy_head(), "saved object"},
      {stream(one, {"k"}, ""), "the file ends before it"},
      {stream(one, {"k"}, floats(3)), "it has 3 elements, its reference says 2"},
      {stream(one, {"k"}, floats(2).substr(0, 12)), "it needs 8 bytes, 4 are left"},
      {stream(one, {}, ""), "storage \"k\" is used, but not in the file"},
      {stream(one, {"k", "x"}, floats(2) + floats(1)),
       "storage \"x\": it is listed, but nothing uses it"},
      {stream(one, {"k", "k"}, floats(2) + floats(2)), "it is listed twice"},
      {stream(tensor(storage("k", -1), 0, {2}, {1}), {"k"}, floats(2)), "size"},
      {stream(tensor(storage("k", INT64_MAX), 0, {2}, {1}), {"k"}, floats(2)), "impossible size"},
      {stream(tensor(storage("k", 2), 1, {2}, {1}), {"k"}, floats(2)), "reaches beyond"},
      {stream(tuple({one, tensor(storage("k", 3), 0, {2}, {1})}), {"k"}, floats(2)),
       "described twice"},
      {stream(tuple({one, tensor(storage("k", 2, "N", "IntStorage"), 0, {2}, {1})}), {"k"},
              floats(2)),
       "described twice"},
      {stream(tensor(storage("k", 2, "N", "WeirdStorage"), 0, {2}, {1}), {"k"}, floats(2)),
       "unknown type torch.WeirdStorage"},
      {stream(tensor(storage("k", 3, view), 0, {1}, {1}), {"k"}, floats(3)),
       "reaches beyond storage \"k\""},
      {stream(tensor(storage("k", 3, huge), 0, {1}, {1}), {"k"}, floats(3)),
       "reaches beyond storage \"k\""},
      {stream(tensor(storage("k", 3, integer(1)), 0, {1}, {1}), {"k"}, floats(3)), "is no view"},
      {stream(tuple({tensor(storage("k", 3, other_view), 0, {1}, {1}),
                     tensor(storage("k", 3, third_view), 0, {1}, {1})}),
              {"k"}, floats(3)),
       "view \"v\" is described twice"},
      {stream(tuple({text("what"), text("k")}) + "Q", {}, ""), "a persistent id \"what\""},
      {stream(integer(3) + "Q", {}, ""), "neither a storage nor a class"},
      {legacy_head() + pickle(one) + pickle("}"), "the storage keys are no list"},
      {legacy_head() + pickle(one) + pickle("](" + integer(1) + "e"),
       "a storage key that is no text"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of(row.bytes);
    INFO(row.message);
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

}  // namespace
}  // namespace mlc::test
