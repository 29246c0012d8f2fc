#include "mlc/onnx_file/onnx_file.h"

#include "catch.h"
#include "onnx_file/proto_writer.h"

using namespace mlc;

namespace {

OnnxFile read(const std::string& file) {
  auto out = read_onnx(as_bytes(file));
  REQUIRE(out.ok());
  return std::move(*out);
}

std::string problem(const std::string& file) {
  const auto out = read_onnx(as_bytes(file));
  REQUIRE(!out.ok());
  CHECK(out.error().kind() == ErrorKind::corrupt);
  return out.error().text();
}

const std::string kWeight = field(5, tensor("w", {2, 3}, 1, field(9, std::string(24, 'x'))));

/// A field of an external_data entry.
std::string entry(std::string_view key, std::string_view value) {
  return field(13, field(1, key) + field(2, value));
}

}  // namespace

TEST_CASE("a model tells its inputs, outputs, operators and weights") {
  const std::string graph = field(1, node("", "MatMul")) + field(1, node("ai.onnx", "MatMul")) +
                            kWeight + field(11, value_info("x", 1, named("batch") + fixed(2))) +
                            field(11, value_info("w", 1, fixed(2) + fixed(3))) +
                            field(12, value_info("y", 16, ""));
  const OnnxFile file = read(model(graph));
  CHECK(file.ir_version == 8);
  CHECK(file.producer == "pytorch 2.13");
  CHECK(file.opsets == std::vector<std::pair<std::string, int64_t>>{{"", 17}});
  // w has an initializer, so nobody gives it.
  REQUIRE(file.inputs.size() == 1);
  CHECK((file.inputs[0].name == "x" && file.inputs[0].kind == OnnxKind::tensor));
  REQUIRE(file.inputs[0].dims->size() == 2);
  CHECK(file.inputs[0].dims->at(0).symbol == "batch");
  CHECK(file.inputs[0].dims->at(1).size == 2);
  REQUIRE(file.outputs.size() == 1);
  CHECK((file.outputs[0].element == 16 && file.outputs[0].dims->empty()));
  CHECK((file.nodes == 2 && file.initializers == 1 && file.weight_bytes == 24));
  REQUIRE(file.operators.size() == 1);
  CHECK((file.operators[0].type == "MatMul" && file.operators[0].count == 2));
}

TEST_CASE("operators of subgraphs count, functions of the file do not") {
  const std::string body = field(6, field(1, node("com.x", "Inner")));  // of an attribute
  const std::string graph = field(1, node("", "If", field(5, body))) + field(1, node("local", "F"));
  const std::string function =
      field(1, "F") + field(7, node("com.x", "Inner")) + field(10, "local");
  const OnnxFile file = read(model(graph, field(25, function)));
  REQUIRE(file.operators.size() == 2);
  CHECK((file.operators[0].type == "If" && file.operators[0].domain.empty()));
  CHECK((file.operators[1].type == "Inner" && file.operators[1].count == 2));
}

TEST_CASE("an input without a shape is told from one without dimensions") {
  const std::string any = field(1, "x") + field(2, field(1, field(1, uint64_t{1})));
  const OnnxFile file = read(model(field(11, any) + field(11, value_info("s", 7, ""))));
  CHECK(!file.inputs[0].dims);
  REQUIRE(file.inputs[1].dims);
  CHECK(file.inputs[1].dims->empty());
}

TEST_CASE("inputs that are no tensors are told by kind") {
  const std::string sequence = field(1, "s") + field(2, field(4, ""));
  const std::string map = field(1, "m") + field(2, field(5, ""));
  const OnnxFile file = read(model(field(11, sequence) + field(12, map)));
  CHECK(file.inputs[0].kind == OnnxKind::sequence);
  CHECK(file.outputs[0].kind == OnnxKind::map);
  CHECK(to_string(OnnxKind::map) == "a map");
}

TEST_CASE("weights in other files keep their place") {
  const std::string one = tensor("w", {2, 3}, 1,
                                 entry("location", "w.bin") + entry("offset", "64") +
                                     entry("length", "24") + field(14, uint64_t{1}));
  const OnnxFile file = read(model(field(5, one)));
  REQUIRE(file.external.size() == 1);
  const OnnxExternal& external = file.external[0];
  CHECK((external.location == "w.bin" && external.offset == 64 && external.length == 24U));
  CHECK((external.bytes == 24U && external.tensor == "w"));
}

TEST_CASE("sizes may be packed") {
  const std::string packed =
      field(1, varint(2) + varint(3)) + field(2, uint64_t{1}) + field(9, std::string(24, 'x'));
  CHECK(read(model(field(5, packed))).weight_bytes == 24);
}

TEST_CASE("broken models are told") {
  CHECK(problem(field(1, uint64_t{8})) == "it holds no graph");
  CHECK(problem(model(field(5, tensor("w", {2, 3}, 1, field(9, "abc"))))) ==
        "graph: tensor \"w\" takes 24 bytes and holds 3");
  CHECK(problem(model(field(5, tensor("w", {1ULL << 40U, 1ULL << 40U}, 1, "")))) ==
        "graph: tensor \"w\" has impossible sizes");
  CHECK(problem(model(field(5, tensor("w", {static_cast<uint64_t>(-1)}, 1, "")))) ==
        "graph: tensor \"w\" has impossible sizes");
  CHECK(problem(model(field(5, tensor("w", {1}, 1, entry("offset", "-1"))))) ==
        "graph: a tensor in another file has the offset \"-1\"");
  std::string dims;
  for (int i = 0; i < 65; ++i) dims += fixed(1);
  CHECK(problem(model(field(11, value_info("x", 1, dims)))) ==
        "graph: \"x\" has more than 64 dimensions");
}

TEST_CASE("graphs in graphs without end are no stack overflow") {
  std::string graph;
  for (int i = 0; i < 5000; ++i) graph = field(1, node("", "If", field(5, field(6, graph))));
  CHECK(problem(model(graph)).find("nested more than 100 deep") != std::string::npos);
}

TEST_CASE("ONNX is recognised by its fields, also where it is cut off") {
  const std::string whole = model(kWeight);
  CHECK(looks_like_onnx(as_bytes(whole)));
  const size_t graph = whole.find("2.13") + 4;  // where nothing but its beginning is missing
  for (size_t size = 12; size < whole.size(); ++size) {
    if (size == graph) continue;
    INFO(size);
    CHECK(looks_like_onnx(as_bytes(std::string_view(whole).substr(0, size))));
  }
}

TEST_CASE("other files are not taken for ONNX") {
  // A SavedModel of TensorFlow: a version, then messages as field 2.
  CHECK(!looks_like_onnx(as_bytes(field(1, uint64_t{1}) + field(2, field(1, "\xff\x01")))));
  CHECK(!looks_like_onnx(as_bytes(field(1, field(1, "node")))));  // a frozen graph
  for (const char* text : {"", "\x08", "\x08\x01", "hello world", "{\"a\": 1}", "PK\x03\x04"}) {
    CHECK(!looks_like_onnx(as_bytes(text)));
  }
}
