#include "zip_of.h"

namespace mlc::test {
namespace {

std::string payload(
    std::string_view path, std::string_view sizes, std::string_view strides,
    std::string_view more = R"("dtype":7,"layout":7,"storage_offset":{"as_int":0})") {
  return R"({"path_name":")" + std::string(path) +
         R"(","is_param":true,"use_pickle":false,"tensor_meta":{"sizes":)" + std::string(sizes) +
         R"(,"strides":)" + std::string(strides) + "," + std::string(more) + "}}";
}

Records archive(const std::string& weights, const Records& more = {}) {
  Records records = {
      {"archive_format", "pt2"},
      {"archive_version", "0"},
      {".data/version", "6\n"},
      {"byteorder", "little"},
      {"models/model.json",
       R"({"graph_module":{"a":[1,{"b":null}]},"schema_version":{"major":8,"minor":1},"torch_version":"2.9.0"})"},
      {"data/weights/model_weights_config.json", R"({"config":{)" + weights + "}}"},
      {"data/weights/weight_0", floats(4).substr(8)},
      {"data/weights/empty", ""}};
  records.insert(records.end(), more.begin(), more.end());
  return records;
}

const std::string kTwo = R"([{"as_int":2}])";
const std::string kOne = R"([{"as_int":1}])";

std::string bytes_at(const Checkpoint& checkpoint, std::string_view name) {
  const uint32_t index = checkpoint.tensor_at(checkpoint.graph.find(checkpoint.root, name));
  REQUIRE(index != kNoIndex);
  const auto view = checkpoint.view(index);
  REQUIRE(view.ok());
  return *contiguous_bytes(*view, 1000);
}

TEST_CASE("tensors share a payload, each with its own strides and offset") {
  const auto checkpoint = open_zip(
      "m", archive(R"("all":)" + payload("weight_0", R"([{"as_int":4}])", kOne) + R"(,"part":)" +
                   payload("weight_0", kTwo, R"([{"as_int":2}])",
                           R"("dtype":7,"storage_offset":{"as_int":1})")));
  CHECK(checkpoint->format == Format::pt2);
  CHECK(checkpoint->origin.torch_exactly == "2.9.0");
  CHECK(checkpoint->origin.format_version == 8);
  CHECK(checkpoint->storages.size() == 1);
  CHECK(bytes_at(*checkpoint, "part") == floats(4).substr(12, 4) + floats(4).substr(20, 4));
}

TEST_CASE("a payload under two dtypes is a storage of bytes") {
  const auto checkpoint = open_zip(
      "m", archive(R"("f":)" + payload("weight_0", R"([{"as_int":4}])", kOne) + R"(,"h":)" +
                   payload("weight_0", R"([{"as_int":8}])", kOne,
                           R"("dtype":3,"storage_offset":{"as_int":0})")));
  REQUIRE(checkpoint->storages.size() == 1);
  CHECK(checkpoint->storages[0].untyped);
  CHECK(bytes_at(*checkpoint, "f") == bytes_at(*checkpoint, "h"));
}

TEST_CASE("an empty payload is zeros") {
  const auto checkpoint = open_zip("m", archive(R"("z":)" + payload("empty", kTwo, kOne)));
  CHECK(bytes_at(*checkpoint, "z") == std::string(8, '\0'));
}

TEST_CASE("a pickled payload is a torch.save file of its own") {
  const auto checkpoint = open_zip(
      "m",
      archive(R"("t":{"path_name":"inner","is_param":false,"use_pickle":true,"tensor_meta":null})",
              {{"data/weights/inner", read_file(fixture("tensor.pt"))}}));
  CHECK(bytes_at(*checkpoint, "t") == floats(3).substr(8));
}

TEST_CASE("several models become several state_dicts") {
  Records records = archive(R"("w":)" + payload("weight_0", kTwo, kOne));
  records.emplace_back("models/other.json", "{}");
  records.emplace_back("data/weights/other_weights_config.json",
                       R"({"config":{"v":)" + payload("weight_0", kTwo, kOne) + "}}");
  const auto checkpoint = open_zip("m", records);
  const auto names = all_tensors(*checkpoint, checkpoint->root);
  REQUIRE(names.size() == 2);
  CHECK(names[0].path == "model.w");
  CHECK(names[1].path == "other.v");
}

TEST_CASE("script objects are left out with a warning") {
  Records more = {
      {"data/constants/custom_obj_0", "x"},
      {"data/constants/model_constants_config.json",
       R"({"config":{"o":{"path_name":"custom_obj_0","is_param":false,"use_pickle":true,"tensor_meta":null}}})"}};
  const auto checkpoint = open_zip("m", archive("", more));
  CHECK(checkpoint->warnings ==
        std::vector<std::string>{"constant \"custom_obj_0\" is no tensor and is left out"});
}

TEST_CASE("constants stand beside the state_dict, not in it") {
  Records more = {{"data/constants/tensor_0", floats(4).substr(8)},
                  {"data/constants/model_constants_config.json",
                   R"({"config":{"grid":)" + payload("tensor_0", kTwo, kOne) + "}}"}};
  auto checkpoint = open_zip("m", archive(R"("w":)" + payload("weight_0", kTwo, kOne), more));
  const auto found = find_state_dicts(*checkpoint);
  REQUIRE(found.ok());
  REQUIRE(found->size() == 1);
  CHECK(found->at(0).path == "state_dict");
  CHECK(found->at(0).entries.size() == 1);
  CHECK(all_tensors(*checkpoint, checkpoint->root).size() == 2);
}

TEST_CASE("damaged descriptions are named") {
  struct Row {
    std::string weights;
    std::string message;
  };
  const std::string good = payload("weight_0", kTwo, kOne);
  const Row rows[] = {
      {R"("w":)" + payload("../weight_0", kTwo, kOne), "is no bare name"},
      {R"("w":)" + payload("a/b", kTwo, kOne), "is no bare name"},
      {R"("w":)" + payload("..", kTwo, kOne), "is no bare name"},
      {R"("w":)" + payload("weight_9", kTwo, kOne), "no entry \"data/weights/weight_9\""},
      {R"("w":)" + good + R"(,"w":)" + good, "tensor \"w\" is described twice"},
      {R"("w":)" + payload("weight_0", R"([{"as_int":5}])", kOne), "reaches beyond the 4 elements"},
      {R"("w":)" + payload("weight_0", R"([{"as_int":9223372036854775807},{"as_int":9}])",
                           R"([{"as_int":0},{"as_int":0}])"),
       "64 bits"},
      {R"("w":)" + payload("weight_0", R"([{"as_expr":"s0"}])", kOne), "expected as_int"},
      {R"("w":)" + payload("weight_0", R"([{"as_int":-1}])", kOne), "whole number"},
      {R"("w":)" + payload("weight_0", kTwo, "[]"), "but there are 0 strides"},
      {R"("w":)" + payload("weight_0", kTwo, kOne, R"("dtype":99)"), "dtype number 99"},
      {R"("w":)" + payload("weight_0", kTwo, kOne, R"("dtype":7,"layout":1)"), "layout number 1"},
      {R"("w":)" + payload("weight_0", kTwo, kOne, R"("dtype":11)"), "reaches beyond"},
      {R"("w":)" + payload("empty", R"([{"as_int":9223372036854775807}])", R"([{"as_int":0}])"),
       "64 bits"},
      {R"("w":{"path_name":"weight_0"})", "neither tensor_meta nor a pickle"},
      {R"("w":{"path_name":"weight_0","use_pickle":true})", "entry \"m/data/weights/weight_0\""},
      {R"("w":[])", "expected an object"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of_zip("m", archive(row.weights));
    INFO(row.weights);
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

TEST_CASE("an archive without a model is named") {
  CHECK(error_of_zip("m", {{"archive_format", "pt2"}}).find("holds no exported model") !=
        std::string::npos);
}

TEST_CASE("the old layout needs its state_dict") {
  CHECK(error_of_zip("", {{"serialized_exported_program.json", "{}"}}) ==
        "corrupt: the archive has no serialized_state_dict.pt");
  CHECK(error_of_zip(
            "", {{"serialized_exported_program.json", "{}"}, {"serialized_state_dict.pt", "junk"}})
            .find("entry \"serialized_state_dict.pt\"") != std::string::npos);
  CHECK(error_of_zip("", {{"serialized_exported_program.json", "{}"},
                          {"serialized_state_dict.pt", read_file(fixture("tensor.pt"))}})
            .find("holds no dict") != std::string::npos);
}

}  // namespace
}  // namespace mlc::test
