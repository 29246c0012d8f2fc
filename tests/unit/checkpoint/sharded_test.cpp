#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

std::string shard(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += (i > 0 ? ",\"" : "\"") + names[i] +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  header += "}";
  return little(header.size(), 8) + header + std::string(names.size(), 'x');
}

/// Two shards with "a" and "b" beside an index.
struct Folder {
  explicit Folder(const std::string& index) {
    write_file(files / "one", shard({"a"}));
    write_file(files / "two", shard({"b"}));
    write_file(files / "index.json", index);
  }
  std::string index() const { return files / "index.json"; }
  ScratchFolder files;
};

std::string error_of_index(const std::string& index) {
  return error_at(Folder(index).index());
}

TEST_CASE("keys come in the order of the index") {
  const Folder folder(
      R"({"weight_map":{"b":"two","a":"one"},"metadata":{"total_size":2.0,"more":[]}})");
  const auto opened = open_checkpoint(folder.index());
  REQUIRE(opened.ok());
  const auto names = all_tensors(**opened, (*opened)->root);
  REQUIRE(names.size() == 2);
  CHECK(names[0].path == "b");
  CHECK((*opened)->warnings.empty());
  CHECK((*opened)->storages[0].key == "b");
}

TEST_CASE("a wrong total size and keys that are not placed are warnings") {
  const Folder folder(R"({"metadata":{"total_size":7},"weight_map":{"a":"one"}})");
  write_file(folder.files / "one", shard({"a", "extra"}));
  const auto opened = open_checkpoint(folder.index());
  REQUIRE(opened.ok());
  CHECK((*opened)->warnings ==
        std::vector<std::string>{
            "one has 1 key that the index does not place in it; they are left out",
            "the index says total_size 7, the shards hold 1 bytes"});
  CHECK(all_tensors(**opened, (*opened)->root).size() == 1);
}

TEST_CASE("damaged indexes are named") {
  struct Row {
    std::string index;
    std::string message;
  };
  const Row rows[] = {
      {"{}", "no weight_map"},
      {R"({"weight_map":{}} x)", "more text after the end"},
      {R"({"weight_map":[]})", "expected an object"},
      {R"({"weight_map":{},"weight_map":{}})", "weight_map twice"},
      {R"({"weight_map":{"a":"one","a":"one"}})", "lists key \"a\" twice"},
      {R"({"weight_map":{"a":"../one"}})", "not the name of a file"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "not the name of a file"},
      {R"({"weight_map":{"a":".."}})", "not the name of a file"},
      {R"({"weight_map":{"a":"sub\\one"}})", "not the name of a file"},
      {R"({"weight_map":{"a":"one\u0000"}})", "not the name of a file"},
      {R"({"weight_map":{"a":""}})", "not the name of a file"},
      {R"({"weight_map":{"b":"one"}})", "it has no key \"b\""},
      {R"({"weight_map":{"a":"three"}})", "not_found: shard of \"index.json\""},
      {R"({"weight_map":{"a":"index.json"}})", "it is JSON, not a checkpoint"},
      {R"({"weight_map":{"a":1}})", "expected a text"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of_index(row.index);
    INFO(row.index);
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

TEST_CASE("an index may not name ten thousand files more") {
  std::string index = R"({"weight_map":{)";
  for (int i = 0; i <= 10'000; ++i) {
    index += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":\"f" + std::to_string(i) + "\"";
  }
  CHECK(error_of_index(index + "}}") == "corrupt: the index names more than 10,000 files");
}

TEST_CASE("links lead to files of the folder or of the cache it belongs to") {
  namespace fs = std::filesystem;
  const ScratchFolder root;
  const std::string index = R"({"weight_map":{"a":"one"}})";
  fs::create_directories(root / "repo/snapshots/rev");
  fs::create_directories(root / "repo/blobs");
  fs::create_directories(root / "plain/inner");
  write_file(root / "repo/blobs/hash", shard({"a"}));
  write_file(root / "plain/inner/one", shard({"a"}));
  for (const char* folder : {"repo/snapshots/rev", "plain"})
    write_file(root / (std::string(folder) + "/i.json"), index);

  fs::create_symlink("../../blobs/hash", root / "repo/snapshots/rev/one");
  CHECK(error_at(root / "repo/snapshots/rev/i.json").empty());
  fs::create_symlink("inner/one", root / "plain/one");
  CHECK(error_at(root / "plain/i.json").empty());
  fs::remove(root / "plain/one");
  fs::create_symlink(root / "repo/blobs/hash", root / "plain/one");
  CHECK(error_at(root / "plain/i.json").find("link to a file outside the folder") !=
        std::string::npos);
}

TEST_CASE("tied tensors of a shard stay on one storage") {
  const auto opened = open_checkpoint(fixture("sharded_bin"));
  REQUIRE(opened.ok());
  const Checkpoint& checkpoint = **opened;
  const auto storage_of = [&](std::string_view name) {
    return checkpoint.tensors[checkpoint.tensor_at(checkpoint.graph.find(checkpoint.root, name))]
        .storage;
  };
  CHECK(storage_of("a") == storage_of("tied"));
  CHECK(checkpoint.storages.size() == 3);
  CHECK(checkpoint.warnings.empty());
}

}  // namespace
}  // namespace mlc::test
