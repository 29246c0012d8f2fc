#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

std::string bytes_node(const std::string& bytes) {
  return "B" + little(bytes.size(), 4) + bytes;
}

std::string one_storage(int64_t elements = 2) {
  return legacy_head() + pickle(storage("k", elements)) + keys({"k"}) + floats(elements);
}

std::string loaded(const std::string& stream) {
  return global("torch.storage", "_load_from_bytes") + bytes_node(stream) + "\x85R";
}

std::string array(const std::string& shape, const std::string& code, const std::string& data,
                  const std::string& order = "<") {
  const std::string dtype =
      global("numpy", "dtype") + tuple({text(code), "\x89", "\x88"}) + "R" +
      tuple({integer(3), text(order), "N", "N", "N", integer(-1), integer(-1), integer(0)}) + "b";
  return global("numpy.core.multiarray", "_reconstruct") +
         tuple({global("numpy", "ndarray"), tuple({integer(0)}), bytes_node("b")}) + "R" +
         tuple({integer(1), shape, dtype, "\x89", data}) + "b";
}

TEST_CASE("a pickled tensor's bytes are not copied") {
  const std::string file = pickle(dict({{"w", tensor(loaded(one_storage()), 0, {2}, {1})}}));
  const auto checkpoint = open_bytes(file);
  REQUIRE(checkpoint->tensors.size() == 1);
  const Storage& storage = checkpoint->storages[0];
  CHECK(storage.file == 0);
  CHECK(file.substr(storage.offset, 8) == floats(2).substr(8));
}

TEST_CASE("two storages with the same key in two streams stay two") {
  const auto checkpoint = open_bytes(pickle(tuple(
      {tensor(loaded(one_storage(2)), 0, {2}, {1}), tensor(loaded(one_storage(3)), 0, {3}, {1})})));
  REQUIRE(checkpoint->tensors.size() == 2);
  CHECK(checkpoint->storages.size() == 2);
}

TEST_CASE("arrays of objects and texts stay what they are") {
  const auto checkpoint =
      open_bytes(pickle(tuple({array(tuple({integer(1)}), "O8", "](K\1e"),
                               array(tuple({integer(1)}), "U3", bytes_node("123456789012"))})));
  CHECK(checkpoint->tensors.empty());
}

TEST_CASE("damaged pickles of tensors and arrays are named") {
  const std::string shape = tuple({integer(2)});
  const std::string shared = "B" + little(one_storage().size(), 4) + one_storage() + "q\1";
  struct Row {
    std::string body;
    std::string message;
  };
  const Row rows[] = {
      {array(shape, "f4", bytes_node("1234")), "shape [2] of f32 does not fill its 4 bytes"},
      {array(shape, "f4", integer(3)), "its data are no bytes"},
      {array(tuple({integer(-2)}), "f4", bytes_node("")), "something that is no size"},
      {array(integer(2), "f4", bytes_node("12345678")), "its shape is no tuple"},
      {array(tuple({integer(INT64_MAX), integer(8)}), "f4", bytes_node("")), "does not fill"},
      {loaded("junk"), "a pickled storage"},
      {loaded(legacy_head() + pickle("}") + keys({})),
       "_load_from_bytes of something that is no storage"},
      {global("torch.storage", "_load_from_bytes") + text("x") + "\x85R", "not made from bytes"},
      {tuple({global("torch.storage", "_load_from_bytes") + shared + "\x85R",
              global("torch.storage", "_load_from_bytes") + "h\1\x85R"}),
       "two storages made from the same bytes"},
      {tensor(storage("k", 2), 0, {2}, {1}), "outside of any stream"},
      {loaded(one_storage().substr(0, one_storage().size() - 1)), "it needs 8 bytes, 7 are left"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of(pickle(row.body));
    INFO(row.message);
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

TEST_CASE("many arrays cannot share few encoded bytes") {
  // Protocol 2 writes bytes as _codecs.encode(text, 'latin1'); each use would be a copy.
  std::string body = "(" + global("_codecs", "encode") +
                     tuple({text(std::string(4000, 'x')), text("latin1")}) + "Rq\1";
  for (int i = 0; i < 20; ++i) body += array(tuple({integer(4000)}), "u1", "h\1", "|");
  CHECK(error_of(pickle(body + "t")).find("they share them") != std::string::npos);
}

TEST_CASE("bytes behind the pickle are a warning") {
  CHECK(open_bytes(pickle("}") + "xyz")->warnings ==
        std::vector<std::string>{"3 bytes behind the end of the pickle"});
}

}  // namespace
}  // namespace mlc::test
