#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

std::string file_of_header(const std::string& header, size_t data_bytes) {
  return little(header.size(), 8) + header + std::string(data_bytes, '\1');
}

TEST_CASE("headers that lie are named") {
  struct Row {
    std::string header;
    size_t data;
    std::string message;
  };
  const std::string good = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const Row rows[] = {
      {"{" + good + "}x", 8, "more text after the end"},
      {"{" + good + "," + good + "}", 8, "tensor \"a\": the header has it twice"},
      {"{" + good + "}", 9, "the tensors end at 8, the data at 9"},
      {"{" + good + "}", 7, "the file has 69: 0 of 1 tensor is whole"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
       "shape [3] of F32 does not fill its 8 bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
       "end at 0, before they begin at 8"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8,
       "does not fill"},
      {R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", 8,
       "unsupported: tensor \"a\": its dtype \"F99\""},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "whole number"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "whole number"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", 8,
       "data_offsets are two numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8,
       "data_offsets are two numbers"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "without dtype, shape or data_offsets"},
      {R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "there twice"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2,
       "unsupported: tensor \"a\": its last dimension"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
       6, "overlaps"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "leaves a hole"},
      {R"({"__metadata__":{"k":1}})", 0, "expected a text"},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, "has the key \"k\" twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "__metadata__ twice"},
      {R"({"a":{"x":[[[[1]]]],"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
       "nested deeper"},
  };
  for (const Row& row : rows) {
    INFO(row.header);
    const std::string error = error_of(file_of_header(row.header, row.data));
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

TEST_CASE("a header longer than the file or the format allows is refused before it is read") {
  CHECK(error_of(little(200'000'000, 8) + "{" + std::string(200'000'100, ' ')) ==
        "corrupt: the header claims 200.0 MB; safetensors allows 100 MB");
}

TEST_CASE("tensors keep the header's order whatever their offsets") {
  const auto checkpoint = open_bytes(file_of_header(
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
      R"("z":{"dtype":"F32","shape":[0,9],"data_offsets":[3,3]}}    )",
      3));
  const auto names = all_tensors(*checkpoint, checkpoint->root);
  REQUIRE(names.size() == 3);
  CHECK(names[0].path == "b");
  CHECK(names[1].path == "a");
  CHECK(names[2].path == "z");
}

TEST_CASE("packed fp4 counts packs") {
  const auto checkpoint =
      open_bytes(file_of_header(R"({"a":{"dtype":"F4","shape":[2,6],"data_offsets":[0,6]}})", 6));
  const Dims sizes = checkpoint->sizes(checkpoint->tensors[0]);
  CHECK(std::vector<int64_t>(sizes.begin(), sizes.end()) == std::vector<int64_t>{2, 3});
}

TEST_CASE("tied weights come back from __metadata__") {
  const auto checkpoint = open_bytes(file_of_header(
      R"({"__metadata__":{"format":"pt","tied.w":"a","a":"a","x":"y","best":"a"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
      2));
  const auto names = all_tensors(*checkpoint, checkpoint->root);
  REQUIRE(names.size() == 2);
  CHECK(names[1].path == "tied.w");
  CHECK(checkpoint->tensors[names[0].tensor].storage ==
        checkpoint->tensors[names[1].tensor].storage);
  CHECK(checkpoint->warnings ==
        std::vector<std::string>{"1 tied tensor restored from __metadata__, first \"tied.w\""});
  using Row = std::pair<std::string, std::string>;
  CHECK(checkpoint->string_metadata ==
        std::vector<Row>{{"format", "pt"}, {"a", "a"}, {"x", "y"}, {"best", "a"}});
}

TEST_CASE("a field that the format lacks is a warning") {
  const auto checkpoint = open_bytes(
      file_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"new":1}})", 1));
  REQUIRE(checkpoint->warnings.size() == 1);
  CHECK(checkpoint->warnings[0].find("\"new\"") != std::string::npos);
}

}  // namespace
}  // namespace mlc::test
